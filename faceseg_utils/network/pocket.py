"""A pocket network: MediaPipe's Selfie Segmentation (general; Apache License 2.0) as a module that can be trained.

A MobileNetV3-like encoder (Howard et al. 2019, arXiv 1905.02244) and a decoder of 16 to 24 channels that adds its
skips. 106,401 weights. Batch normalisation was folded into the convolutions before the weights were published.
"""

import torch.nn.functional as F
from torch import nn


class Conv(nn.Conv2d):
    """A convolution that pads as TensorFlow does: where the padding is odd, its larger half is below and right."""

    def forward(self, x):
        pads = []
        for side, kernel, stride in zip(x.shape[:-3:-1], self.kernel_size, self.stride):  # width, then height
            total = max((-(-int(side) // stride) - 1) * stride + kernel - int(side), 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


class Gate(nn.Module):
    """Squeeze and excitation: what the whole picture holds decides how much each channel counts. -> [B, C, 1, 1]."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        return self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Bottleneck(nn.Module):
    """Widen, look around in each channel, narrow: [B, in, H, W] -> [B, out, H/stride, W/stride]."""

    def __init__(self, channels: int, wide: int, out: int, kernel: int, stride: int, gate: int, act=F.hardswish):
        super().__init__()
        self.widen = nn.Conv2d(channels, wide, 1)
        self.depthwise = Conv(wide, wide, kernel, stride, groups=wide)
        self.gate = Gate(wide, gate) if gate else None
        self.narrow = nn.Conv2d(wide, out, 1)
        self.act, self.residual = act, stride == 1 and channels == out

    def forward(self, x):
        y = self.act(self.depthwise(self.act(self.widen(x))))
        y = self.narrow(y * self.gate(y) if self.gate else y)
        return x + y if self.residual else y


class Up(nn.Module):
    """Double the resolution, add the gated skip: [B, in, H, W], [B, out, 2H, 2W] -> [B, out, 2H, 2W]."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.narrow = nn.Conv2d(channels, out, 1)
        self.gate = Gate(out, out)
        self.merge = nn.Conv2d(out, out, 1)
        self.depthwise = Conv(out, out, 3, groups=out)

    def forward(self, x, skip):
        x = self.narrow(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        x = self.merge(skip * self.gate(skip + x) + x).relu()
        return x + self.depthwise(x).relu()


class Pocket(nn.Module):
    """Photos of 0 to 1, float32 [B, 3, H, W], H and W divisible by 16 -> logits [B, classes, H, W]."""

    def __init__(self, classes: int = 1):
        super().__init__()
        self.stem = Conv(3, 16, 3, 2)                                                     # [B, 16, H/2, W/2]
        self.stage1 = Bottleneck(16, 16, 16, 3, 2, 8, F.relu)                             # [B, 16, H/4, W/4]
        self.stage2 = nn.Sequential(                                                      # [B, 24, H/8, W/8]
            Bottleneck(16, 72, 24, 3, 2, 0, F.relu), Bottleneck(24, 88, 24, 3, 1, 0, F.relu)
        )
        wide = [(24, 96, 2), (32, 128, 1), (32, 128, 1), (32, 96, 1), (32, 96, 1)]
        self.stage3 = nn.Sequential(*(Bottleneck(c, w, 32, 5, s, w // 4) for c, w, s in wide))  # [B, 32, H/16, W/16]
        self.local, self.pooled = nn.Conv2d(32, 128, 1), nn.Conv2d(32, 128, 1)
        self.up2, self.up1, self.up0 = Up(128, 24), Up(24, 16), Up(16, 16)
        self.head = nn.ConvTranspose2d(16, classes, 2, 2)

    def forward(self, x):
        half = F.hardswish(self.stem(x))
        quarter = self.stage1(half)
        eighth = self.stage2(quarter)
        x = self.stage3(eighth)
        x = self.local(x).relu() * self.pooled(x.mean((2, 3), keepdim=True)).sigmoid()    # [B, 128, H/16, W/16]
        x = self.up2(x, eighth)                                                           # [B, 24, H/8, W/8]
        x = self.up1(x, quarter)                                                          # [B, 16, H/4, W/4]
        return self.head(self.up0(x, half))                                               # [B, classes, H, W]
