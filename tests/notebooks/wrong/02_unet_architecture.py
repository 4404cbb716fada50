"""Wrong answers to the exercises of notebook 02, each with a part of the message meant for it."""

PARAMETERS = "def conv_parameters(i, o, k):\n    return "
FIELD = """def receptive_field(layers):
    size, step = {start}, 1
    for kernel, stride in {layers}:
{body}    return size"""
BODY = "        size += (kernel - 1) * step\n        step *= stride\n"
PAINT = """def transposed_conv(x, kernel, stride):
    (h, w), k = x.shape, len(kernel)
    out = np.zeros({shape})
    for i in range(h):
        for j in range(w):
            out[{at}] {paint}
    return out"""
SHAPE = "((h - 1) * stride + k, (w - 1) * stride + k)"
AT = "i * stride : i * stride + k, j * stride : j * stride + k"
BLOCK = """class MyDoubleConv(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.layers = nn.Sequential({layers})

    def forward(self, x):
        {end}"""
CONV1 = "nn.Conv2d(in_channels, out_channels, 3, padding=1)"
CONV2 = "nn.Conv2d(out_channels, out_channels, 3, padding=1)"
NORM = "nn.BatchNorm2d(out_channels)"
RIGHT = f"{CONV1}, {NORM}, nn.ReLU(), {CONV2}, {NORM}, nn.ReLU()"
PAIR = """class MyDown(nn.Module):
    def __init__(self, in_channels, out_channels, block=DoubleConv):
        super().__init__()
        self.pool = {pool}
        self.conv = {block}(in_channels, out_channels)

    def forward(self, x):
        return self.conv(self.pool(x))


class MyUp(nn.Module):
    def __init__(self, in_channels, skip_channels, out_channels, block=DoubleConv):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="{mode}")
        self.conv = block({channels}, out_channels)

    def forward(self, x, skip):
        {merge}

repaired = {answer}"""
FORWARD = """def unet_forward(model, x):
    skips = [model.inc(x)]
    for down in model.downs:
        skips.append(down(skips[-1]))
    x = skips.pop()
    for up in model.ups:
        x = up(x, {skip})
    {end}"""
FOUR = """def unet_forward(model, x):
    a = model.inc(x)
    b = model.downs[0](a)
    c = model.downs[1](b)
    d = model.downs[2](c)
    x = model.ups[0](model.downs[3](d), d)
    x = model.ups[2](model.ups[1](x, c), b)
    return model.head(model.ups[3](x, a))"""


def block(layers=RIGHT, end="return self.layers(x)"):
    return BLOCK.format(layers=layers, end=end)


def pair(pool="nn.MaxPool2d(2)", block="block", mode="bilinear", channels="in_channels + skip_channels",
         merge="return self.conv(torch.cat([self.up(x), skip], dim=1))", answer="(MyDown, MyUp)"):  # fmt: skip
    return PAIR.format(pool=pool, block=block, mode=mode, channels=channels, merge=merge, answer=answer)


def paint(shape=SHAPE, at=AT, paint="+= x[i, j] * kernel"):
    return PAINT.format(shape=shape, at=at, paint=paint)


def forward(skip="skips.pop()", end="return model.head(x)"):
    return FORWARD.format(skip=skip, end=end)


WRONG = {
    "conv_parameters": [
        (PARAMETERS + "i * o * k + o", "A kernel is square"),
        (PARAMETERS + "i * o * k * k", "also has a bias"),
        (PARAMETERS + "i * o * k * k + i", "not for each input channel"),
        (PARAMETERS + "o * k * k + o", "for every input channel"),
        (PARAMETERS + "i * o * k * k + 8", "nn.Conv2d(1, 1, 1) learns 2 numbers, yours says 9"),
        (PARAMETERS + "i * o * 9 + o", "nn.Conv2d(1, 1, 1) learns 2 numbers, yours says 10"),
    ],
    "receptive_field": [
        (FIELD.format(start=1, layers="layers", body="        size += kernel - 1\n"), "keep the size of a step"),
        (FIELD.format(start=1, layers="layers", body="        size *= kernel\n"), "the growth adds up"),
        (FIELD.format(start=1, layers="layers", body="        step *= stride\n        size += (kernel - 1) * step\n"),
         "layers after it"),
        (FIELD.format(start=0, layers="layers", body=BODY), "yours says 0"),
        (FIELD.format(start=1, layers="reversed(layers)", body=BODY), "in the opposite order"),
        (FIELD.format(start=1, layers="layers", body="        size = (size - 1) * stride + kernel\n"),
         "in the opposite order"),
        (FIELD.format(start=1, layers="layers", body="        size += (kernel - 1) * step\n        step *= 2 if stride > 1 else 1\n"),
         "yours says"),
        ("def receptive_field(layers):\n    size, step = 1, 1\n    while layers:\n        kernel, stride = layers.pop(0)\n"
         + BODY + "    return size", "in place"),
    ],
    "transposed_conv": [
        (paint(paint="= x[i, j] * kernel"), "the last one wins"),
        (paint(paint="+= x[i, j] * kernel[::-1, ::-1]"), "180"),
        (paint(paint="+= x[i, j] * kernel.T"), "rows are painted as columns"),
        (paint(at="i : i + k, j : j + k"), "should be `stride` apart"),
        (paint(shape="(h * stride, w * stride)"), "Your code stopped"),
        ("def transposed_conv(x, kernel, stride):\n    return x * kernel.sum()", "(h - 1) * stride"),
        ("def transposed_conv(x, kernel, stride):\n    return np.kron(x, kernel)", "give (2, 3), yours is (2, 4)"),
        (paint(paint="+= x[i, i] * kernel"), "the pixel [0, 1] should be 11, yours is 12"),
        (paint(paint="+= x[0, j] * kernel"), "yours is"),
        ("def transposed_conv(x, kernel, stride):\n    kernel *= x[0, 0]\n    return kernel", "in place"),
    ],
    "double_conv": [
        (block(f"{CONV1}, {NORM}, nn.ReLU()"), "has two nn.Conv2d"),
        (block(RIGHT.replace(", padding=1", "")), "padding=1"),
        (block(f"{CONV1}, {NORM}, nn.ReLU(), {CONV2}, {NORM}"), "The ReLU at the end"),
        (block(f"{CONV1}, {NORM}, {CONV2}, {NORM}, nn.ReLU()"), "between the two convolutions is missing"),
        (block(f"{CONV1}, {NORM}, {CONV2}, {NORM}"), "Both ReLUs are missing"),
        (block(f"{CONV1}, nn.ReLU(), {NORM}, {CONV2}, nn.ReLU(), {NORM}"), "yours normalises last"),
        (block(f"{CONV1}, nn.ReLU(), {NORM}, {CONV2}, nn.ReLU(), {NORM}, nn.ReLU()"), "normalise first"),
        (block(f"{CONV1}, nn.ReLU(), {CONV2}, nn.ReLU()"), "two batch normalisations"),
        (block(f"{CONV1}, {NORM}, nn.ReLU(), {CONV1}, {NORM}, nn.ReLU()"), "expected input"),
        (block(end="self.layers(x)"), "is there a `return`?"),
        (block(end="return self.layers(x).sigmoid()"), "was expected, and yours is"),
        (block(RIGHT.replace("ReLU()", "LeakyReLU()")), "was expected, and yours is"),
        (block(RIGHT.replace("padding=1", "padding=2, dilation=2")), "plain ones"),
    ],
    "down_and_up": [
        (pair(pool="nn.MaxPool2d(2, stride=1)"), "7 x 11 of 8 x 12"),
        (pair(pool="nn.AvgPool2d(2)"), "the largest of every 2 x 2"),
        (pair(block="DoubleConv"), "of the class `block`"),
        (pair(channels="in_channels"), "reads 6 channels: 6 come from below and 4 from the skip"),
        (pair(merge="return self.conv(torch.cat([skip, self.up(x)], dim=1))"), "the channels from below come first"),
        (pair(mode="nearest"), "the upsampling is bilinear"),
        (pair(merge="return self.conv(torch.cat([self.up(x), 0 * skip], dim=1))"), "was expected, and yours is"),
        (pair(merge="return self.conv(self.up(torch.cat([x, skip], dim=1)))"), "Sizes of tensors must match"),
        (pair(merge="return torch.cat([self.up(x), skip], dim=1)"), "MyUp(6, 4, 5)"),
        (pair(answer="MyUp"), "Give both classes"),
    ],
    "unet_forward": [
        (forward(skip="skips.pop(0)"), "ups[0] got a map of 2 x 3 and a skip of 32 x 48"),
        (forward(end="return x"), "the head"),
        (forward(end="return model.head(x).sigmoid()"), "no sigmoid"),
        (forward(skip="torch.zeros_like(skips.pop())"), "hold zeros"),
        (forward(end="model.head(x)"), "is there a `return`?"),
        ("def unet_forward(model, x):\n    return model(x)", "calls the model itself"),
        (forward(end="return model.head(x)[:1]"), "yours gives [1, 2, 16, 16]"),
        (forward(end="return 2 * model.head(x)"), "was expected, and yours is"),
        (FOUR, "however many there are"),
        (FORWARD.replace("skips = [model.inc(x)]", "x *= 2\n    skips = [model.inc(x / 2)]").format(
            skip="skips.pop()", end="return model.head(x)"), "in place"),
    ],
}  # fmt: skip

BIAS = "allowed by the statement: the normalisation takes a bias away again"
PLACE = "...t_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_ch... -> ...t_channels, 3, padding=1), nn.BatchNorm2d(out_ch..."
VALUE = "...els, 3, padding=1, bias=False), nn.BatchNorm2d(out_c... -> ...els, 3, padding=1, bias=True), nn.BatchNorm2d(out_c..."
SURVIVORS = {
    "double_conv": {change + again: BIAS for change in (PLACE, VALUE) for again in ("", " (again, 2)")},
}
