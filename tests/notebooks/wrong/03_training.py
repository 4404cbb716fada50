"""Typical wrong answers to the exercises of notebook 03, each with a part of the message meant for it."""

from faceseg_utils.exercises.clinic import answers


def _step(mode="network.train()", clear="optimizer.zero_grad()", loss="loss_function(network(x), y)",
          update="loss.backward()\n    optimizer.step()", give="loss.item()", last="pass"):  # fmt: skip
    return f"""\
def training_step(network, optimizer, loss_function, x, y):
    {mode}
    {clear}
    loss = {loss}
    {update}
    {last}
    return {give}

repaired = training_step
"""


def _cycle(up="step / up", down="(1 + math.cos(math.pi * (step - up) / (steps - up))) / 2", share="0.2"):
    return f"""\
def one_cycle(step, steps, highest):
    up = {share} * steps
    return highest * ({up} if step < up else {down})
"""


def _stop(condition):
    return f"def should_stop(scores, patience):\n    return {condition}"


def _diagnosis(case, fault=None, test=None):
    true = answers()[case]
    return f"diagnosis = {{{case!r}: ({fault or true['fault']!r}, {test or true['test']!r})}}"


BCE = "def bce_with_logits(z, y):\n    p = 1 / (1 + np.exp(-z))\n    return "
BEST = "len(scores) - 1 - scores.index(max(scores))"

WRONG = {
    "bce_with_logits": [
        (BCE + "-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()", "exp overflows"),
        (BCE + "-(y * np.log(p) + (1 - y) * np.log(1 - p)).sum()", "take the mean"),
        (BCE + "(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()", "a minus sign"),
        (BCE + "-((1 - y) * np.log(p) + y * np.log(1 - p)).mean()", "swapped"),
        (BCE + "-(y * np.log(p) + (1 - y) * np.log(1 - p)).max()", "yours is"),
        (
            "def bce_with_logits(z, y):\n    p = np.clip(1 / (1 + np.exp(-z)), 1e-7, 1 - 1e-7)\n"
            "    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()",
            "clipping hides",
        ),
    ],
    "training_step": [
        (_step(clear="pass"), "gradients of the batch before took part"),
        (_step(clear="pass", last="optimizer.zero_grad()"), "gradients of the batch before took part"),
        (_step(update="loss.backward()\n    optimizer.zero_grad()\n    optimizer.step()"), "No weight has changed"),
        (_step(update="loss.backward()"), "No weight has changed"),
        (_step(loss="loss_function(network(x).sigmoid(), y)"), "applied twice"),
        (_step(update="(-loss).backward()\n    optimizer.step()"), "went uphill"),
        (_step(give="loss"), "graph of gradients attached"),
        (_step(give="loss.detach()"), "comes back as a tensor"),
        (_step(give="loss_function(network(x), y).item()"), "the loss after the step"),
        (_step(mode="pass"), "who puts it into train mode"),
        (_step(last="network.eval()"), "left in eval mode"),
        (_step(give="None"), "is there a `return`"),
    ],
    "one_cycle": [
        ("def one_cycle(step, steps, highest):\n    return highest", "the rate at step 0 is 0.00000"),
        ("def one_cycle(step, steps, highest):\n    return highest * (1 + math.cos(math.pi * step / steps)) / 2",
         "The warm-up is missing"),
        (_cycle(share="0.5"), "the rate at step 1 is"),
        (_cycle(share="0.2").replace("0.2 * steps", "int(0.2 * steps)"), "With steps=33"),
        (_cycle(down="1 - (step - up) / (steps - up)"), "Your way down is a straight line"),
        (_cycle(down="(1 + math.cos((step - up) / (steps - up))) / 2"), "is pi there"),
        (_cycle(down="(1 + math.cos(math.pi * (step - up) / (steps - 1 - up))) / 2"), "It reaches 0 at the last step"),
        (_cycle(down="1 + math.cos(math.pi * (step - up) / (steps - up))"), "the rate at step 20 is"),
    ],
    "should_stop": [
        (_stop("len(scores) > 1 and scores[-1] < scores[-2]"), "compares with the epoch before"),
        (_stop(f"{BEST} > patience"), "one epoch too long"),
        (_stop(f"{BEST} + 1 >= patience"), "one epoch too soon"),
        (_stop("len(scores) - 1 - scores.index(min(scores)) >= patience"), "Dice is better when it is higher"),
        (_stop("len(scores) > patience"), "a fixed number of epochs"),
        (_stop("scores[::-1].index(max(scores)) >= patience"), "A tie with the best"),
        (_stop("len(scores) > patience and scores[-1] <= scores[-1 - patience]"), "`patience` epochs ago"),
        (_stop("sum(s <= max(scores[:i]) for i, s in enumerate(scores) if i) >= patience"), "since the start"),
        (_stop("len(scores) > 3 and max(scores[-patience:]) < max(scores)"), "it should say"),
        ("def should_stop(scores, patience):\n    if max(scores) > scores[-1]:\n        return True", "gave None"),
    ],
    "clinic": [
        (_diagnosis("case-f", fault="leak"), "The loss of the monitor begins at a thousand"),
        (_diagnosis("case-g", fault="eval mode forgotten"), "the curves alone do not decide"),
        (_diagnosis("case-c", test="train again with other seeds"), "the fault is right"),
        (_diagnosis("case-c", fault="network too small"), "still far from any person"),
        (_diagnosis("case-h", test="count the pixels of each class in the masks"), "the fault is right"),
        (_diagnosis("case-b", fault="leek"), "Did you mean 'leak'?"),
        ("diagnosis = {'case-a': 'leak'}", "as a pair"),
    ],
}
