"""Wrong answers to the exercises of notebook 02, each with a part of the message meant for it."""

SIZE = "def conv_output_size(n, kernel, stride, padding):\n    return "
FIELD = "def receptive_field(layers):\n    size, step = {start}, 1\n    for kernel, stride in layers:\n{body}    return size"
PAINT = """def transposed_conv(x, kernel, stride):
    (h, w), k = x.shape, len(kernel)
    out = np.zeros({shape})
    for i in range(h):
        for j in range(w):
            out[i * stride : i * stride + k, j * stride : j * stride + k] {paint}
    return out"""
BLOCK = """class MyDoubleConv(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.layers = nn.Sequential({layers})

    def forward(self, x):
        {end}"""
CONV1 = "nn.Conv2d(in_channels, out_channels, 3, padding=1)"
CONV2 = "nn.Conv2d(out_channels, out_channels, 3, padding=1)"
NORM = "nn.BatchNorm2d(out_channels)"
FORWARD = """def unet_forward(model, x):
    skips = [model.inc(x)]
    for down in model.downs:
        skips.append(down(skips[-1]))
    x = skips.pop()
    for up in model.ups:
        x = up(x, {skip})
    {end}"""
DICE = """def soft_dice(z, y):
    p = 1 / (1 + np.exp(-z))
    return """
BCE = "def bce_with_logits(z, y):\n    p = 1 / (1 + np.exp(-z))\n    return "

WRONG = {
    "conv_output_size": [
        (SIZE + "(n + 2 * padding - kernel) // stride", "so add 1"),
        (SIZE + "(n + padding - kernel) // stride + 1", "on both sides"),
        (SIZE + "n + 2 * padding - kernel + 1", "divide by the stride"),
        (SIZE + "(n + 2 * padding - kernel) / stride + 1", "no half pixels"),
    ],
    "receptive_field": [
        (FIELD.format(start=1, body="        size += kernel - 1\n"), "keep a step size"),
        (FIELD.format(start=1, body="        size *= kernel\n"), "the growth adds up"),
        (FIELD.format(start=1, body="        step *= stride\n        size += (kernel - 1) * step\n"), "layers after it"),
        (FIELD.format(start=0, body="        size += (kernel - 1) * step\n        step *= stride\n"), "start from 1"),
    ],
    "transposed_conv": [
        (PAINT.format(shape="((h - 1) * stride + k, (w - 1) * stride + k)", paint="= x[i, j] * kernel"), "added up"),
        (PAINT.format(shape="((h - 1) * stride + k, (w - 1) * stride + k)", paint="+= x[i, j] * kernel[::-1, ::-1]"), "180"),
        ("def transposed_conv(x, kernel, stride):\n    return np.kron(x, kernel[:stride, :stride])", "Your output is 4 x 4"),
        ("def transposed_conv(x, kernel, stride):\n    return x * kernel.sum()", "give 5 x 5"),
    ],
    "conv_parameters": [
        ("def conv_parameters(i, o, k):\n    return i * o * k + o", "A kernel is square"),
        ("def conv_parameters(i, o, k):\n    return i * o * k * k", "also has a bias"),
        ("def conv_parameters(i, o, k):\n    return i * o * k * k + i", "not for each input channel"),
        ("def conv_parameters(i, o, k):\n    return o * k * k + o", "for every input channel"),
    ],
    "double_conv": [
        (BLOCK.format(layers=f"{CONV1}, {NORM}, nn.ReLU()", end="return self.layers(x)"), "a double convolution has two"),
        (
            BLOCK.format(
                layers=f"{CONV1}, {NORM}, nn.ReLU(), {CONV2}, {NORM}, nn.ReLU()".replace(", padding=1", ""),
                end="return self.layers(x)",
            ),
            "padding=1",
        ),
        (BLOCK.format(layers=f"{CONV1}, {NORM}, nn.ReLU(), {CONV2}, {NORM}", end="return self.layers(x)"), "ends in a ReLU"),
        (BLOCK.format(layers=f"{CONV1}, nn.ReLU(), {CONV2}, nn.ReLU()", end="return self.layers(x)"), "batch normalisation"),
        (BLOCK.format(layers=f"{CONV1}, {NORM}, nn.ReLU(), {CONV1}, {NORM}, nn.ReLU()", end="return self.layers(x)"),
         "expected input"),
        (BLOCK.format(layers=f"{CONV1}, {NORM}, nn.ReLU(), {CONV2}, {NORM}, nn.ReLU()", end="self.layers(x)"),
         "is there a `return`?"),
    ],
    "unet_forward": [
        (FORWARD.format(skip="skips.pop(0)", end="return model.head(x)"), "needed first"),
        (FORWARD.format(skip="skips.pop()", end="return x"), "the head"),
        (FORWARD.format(skip="skips.pop()", end="return model.head(x).sigmoid()"), "no sigmoid"),
        (FORWARD.format(skip="torch.zeros_like(skips.pop())", end="return model.head(x)"), "hold zeros"),
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
        (DICE.replace("1 / (1 + np.exp(-z))", "z > 0") + "1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)",
         "Keep them soft"),
        (DICE.replace("1 / (1 + np.exp(-z))", "z") + "1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)",
         "take the sigmoid"),
    ],
}  # fmt: skip
