"""Typical wrong answers to the exercises of notebook 03, each with a part of the message meant for it."""


def _step(mode="network.train()", clear="optimizer.zero_grad()", loss="loss_function(network(x), y)",
          update="loss.backward()\n    optimizer.step()", give="loss.item()"):  # fmt: skip
    return f"""\
def training_step(network, optimizer, loss_function, x, y):
    {mode}
    {clear}
    loss = {loss}
    {update}
    return {give}
"""


def _gather(before="optimizer.zero_grad()", inside="pass", divide=" / len(batches)", then="pass",
            after="optimizer.step()"):  # fmt: skip
    return f"""\
def accumulated_step(network, optimizer, loss_function, batches):
    network.train()
    {before}
    for x, y in batches:
        {inside}
        (loss_function(network(x), y){divide}).backward()
        {then}
    {after}
"""


def _cycle(up="step / up", down="(1 + math.cos(math.pi * (step - up) / (steps - up))) / 2", share="0.2"):
    return f"""\
def one_cycle(step, steps, highest):
    up = {share} * steps
    return highest * ({up} if step < up else {down})
"""


def _predict(before="network.eval()", context="torch.inference_mode()", answer="network(x)[:, 0] > 0",
             after="network.train(was_training)"):  # fmt: skip
    return f"""\
def predict_masks(network, x):
    was_training = network.training
    {before}
    with {context}:
        masks = {answer}
    {after}
    return masks
"""


def _average(update="mean.mul_(decay).add_((1 - decay) * value)",
             pairs="zip(average.parameters(), network.parameters())"):  # fmt: skip
    return f"""\
def update_average(average, network, decay):
    with torch.no_grad():
        for mean, value in {pairs}:
            {update}
"""


def _stop(condition):
    return f"def should_stop(scores, patience):\n    return {condition}"


def _resume(
    saved=("network", "optimizer", "schedule", "random"), loaded=None, epoch="state['epoch'] + 1", give="return "
):
    names = {part: f"{part}.state_dict()" for part in ("network", "optimizer", "schedule")}
    names["random"] = "torch.get_rng_state()"
    state = ", ".join(f"'{part}': {names[part]}" for part in saved)
    back = [
        "torch.set_rng_state(state['random'])" if part == "random" else f"{part}.load_state_dict(state['{part}'])"
        for part in (saved if loaded is None else loaded)
    ]
    lines = "\n    ".join([*back, f"{give}{epoch}"])
    return f"""\
def save_state(path, epoch, network, optimizer, schedule):
    torch.save({{'epoch': epoch, {state}}}, path)


def load_state(path, network, optimizer, schedule):
    state = torch.load(path)
    {lines}
"""


DICE = """def soft_dice(z, y):
    p = 1 / (1 + np.exp(-z))
    return """
BCE = "def bce_with_logits(z, y):\n    p = 1 / (1 + np.exp(-z))\n    return "

WRONG = {
    "training_step": [
        (_step(clear="pass"), "gradients of the batch before took part"),
        (_step(update="loss.backward()\n    optimizer.zero_grad()\n    optimizer.step()"), "No weight has changed"),
        (_step(update="loss.backward()"), "No weight has changed"),
        (_step(loss="loss_function(network(x).sigmoid(), y)"), "applied twice"),
        (_step(update="(-loss).backward()\n    optimizer.step()"), "went uphill"),
        (_step(give="loss"), "graph of gradients attached"),
        (_step(give="loss_function(network(x), y).item()"), "the loss after the step"),
        (_step(mode="pass"), "who puts it into train mode"),
        (_step(give="None"), "is there a `return`"),
    ],
    "accumulated_step": [
        (_gather(divide=""), "three times too long"),
        (_gather(before="pass", inside="optimizer.zero_grad()"), "Only the last batch counted"),
        (_gather(then="optimizer.step()", after="pass"), "a step after every small batch"),
        (
            _gather(inside="optimizer.zero_grad()", then="optimizer.step()", after="pass", divide=""),
            "a step after every small batch",
        ),
        (_gather(before="pass"), "Gradients from before your call"),
        (_gather(after="pass"), "No weight has changed"),
    ],
    "one_cycle": [
        (_cycle(up="1"), "the warm-up is missing"),
        (_cycle(share="0.5"), "after the first fifth"),
        (_cycle(down="1 - (step - up) / (steps - up)"), "Your way down is a straight line"),
        (_cycle(down="(1 + math.cos((step - up) / (steps - up))) / 2"), "is pi there"),
        (_cycle(down="1 + math.cos(math.pi * (step - up) / (steps - up))"), "should not pass `highest`"),
        (_cycle(down="math.cos(math.pi * (step - up) / (steps - up))"), "negative"),
    ],
    "predict_masks": [
        (_predict(before="pass"), "predicted in train mode"),
        (_predict(answer="network(x)[:, 0] > 0.5"), "probability 0.5 is logit 0"),
        (_predict(answer="network(x) > 0"), "Take the only channel"),
        (_predict(answer="network(x)[:, 0].sigmoid()"), "where is the threshold"),
        (_predict(context="torch.enable_grad()"), "a backward pass that never comes"),
        (_predict(after="pass"), "Put back what you found"),
        (_predict(after="network.train()"), "Put back what you found"),
    ],
    "update_average": [
        (_average("mean.mul_(1 - decay).add_(decay * value)"), "are the two shares swapped"),
        (_average("mean.copy_(value)"), "what came before is forgotten"),
        (_average("mean = decay * mean + (1 - decay) * value"), "has not moved"),
        (_average("mean.copy_((mean + value) / 2)"), "plain mean of both"),
        (_average("value.mul_(1 - decay).add_(decay * mean)"), "The network itself has changed"),
        (_average(pairs="[(average.weight, network.weight)]"), "Some weights were left out"),
    ],
    "should_stop": [
        (_stop("scores[-1] < scores[-2]") + " if len(scores) > 1 else False", "compare with the best epoch"),
        (_stop("len(scores) - 1 - scores.index(max(scores)) > patience"), "with patience 3 that is enough"),
        (_stop("len(scores) - scores.index(max(scores)) >= patience"), "one epoch too soon"),
        (_stop("len(scores) - 1 - scores.index(min(scores)) >= patience"), "Dice is better when it is higher"),
        (_stop("len(scores) > patience"), "every epoch brought a new best"),
    ],
    "resume": [
        (_resume(saved=["network"]), "These began afresh: optimizer, schedule, random state."),
        (_resume(saved=["network", "optimizer", "schedule"]), "These began afresh: random state."),
        (_resume(saved=["network", "schedule", "random"]), "These began afresh: optimizer."),
        (_resume(loaded=["network", "optimizer", "random"]), "These began afresh: schedule."),
        (_resume(epoch="state['epoch']"), "would train it twice"),
        (_resume(give=""), "load_state gave None"),
        ("def save_state(*args): return 1\ndef load_state(*args): return 3", "left no file"),
    ],
    "bce_with_logits": [
        (BCE + "-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()", "exp overflows"),
        (BCE + "-(y * np.log(p) + (1 - y) * np.log(1 - p)).sum()", "take the mean"),
        (BCE + "(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()", "a minus sign"),
        (BCE + "-((1 - y) * np.log(p) + y * np.log(1 - p)).mean()", "swapped"),
        (
            "def bce_with_logits(z, y):\n    p = np.clip(1 / (1 + np.exp(-z)), 1e-7, 1 - 1e-7)\n"
            "    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()",
            "clipping hides",
        ),
    ],
    "soft_dice": [
        (DICE + "(2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)", "give 1 minus it"),
        (DICE + "1 - 2 * ((p * y).sum() + 1) / (p.sum() + y.sum() + 1)", "inside the factor 2"),
        (DICE + "1 - 2 * (p * y).sum() / (p.sum() + y.sum())", "is missing"),
        (
            DICE.replace("1 / (1 + np.exp(-z))", "z > 0") + "1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)",
            "Keep them soft",
        ),
        (
            DICE.replace("1 / (1 + np.exp(-z))", "z") + "1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)",
            "take the sigmoid",
        ),
    ],
}
