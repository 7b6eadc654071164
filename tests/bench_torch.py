#!/usr/bin/env python3
"""How fast the same network runs in PyTorch on this GPU: what bench_device is compared with.

    bench_torch.py [VARIANT...]        eager (AMP fp16, channels last) and torch.compile (max-autotune), random weights

The scan is mamba-ssm's kernel where that is installed, else log2(T) doubling steps in PyTorch (Hillis & Steele 1986), the
fastest of plain means at these lengths; the output names it. Pictures lie on the card; medians of 100 passes by CUDA
events after a warm-up. `--check FILE INPUT` prints the logits of a checkpoint for a .safetensors `input` on the CPU."""
import math
import statistics
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

try:
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
except ImportError:
    selective_scan_fn = None

#            dim in_dim depths          heads          window           side gamma
VARIANTS = {
    "T": (80, 32, (1, 3, 8, 4), (2, 4, 8, 16), (8, 8, 14, 7), 224, False),
    "T2": (80, 32, (1, 3, 11, 4), (2, 4, 8, 16), (8, 8, 14, 7), 224, False),
    "S": (96, 64, (3, 3, 7, 5), (2, 4, 8, 16), (8, 8, 14, 7), 224, False),
    "B": (128, 64, (3, 3, 10, 5), (2, 4, 8, 16), (8, 8, 14, 7), 224, True),
    "L": (196, 64, (3, 3, 10, 5), (4, 8, 16, 32), (8, 8, 14, 7), 224, True),
    "L2": (196, 64, (3, 3, 12, 5), (4, 8, 16, 32), (8, 8, 14, 7), 224, True),
    "L2-512-21K": (196, 64, (3, 3, 12, 5), (4, 8, 16, 32), (8, 8, 32, 16), 512, True),
    "L3-256-21K": (256, 64, (3, 3, 20, 10), (4, 8, 16, 32), (8, 8, 16, 8), 256, True),
    "L3-512-21K": (256, 64, (3, 3, 20, 10), (4, 8, 16, 32), (8, 8, 32, 16), 512, True),
}


def scan(x, dt, A, B, C, D):
    """x, dt (N T E); A (E S); B, C (N T S); D (E)."""
    if selective_scan_fn is not None and x.is_cuda:
        y = selective_scan_fn(x.transpose(1, 2).contiguous(), dt.transpose(1, 2).contiguous(), A,
                              B.transpose(1, 2).contiguous(), C.transpose(1, 2).contiguous(), D)
        return y.transpose(1, 2)
    a, h, step = torch.exp(dt.unsqueeze(-1) * A), (dt * x).unsqueeze(-1) * B.unsqueeze(2), 1
    while step < x.shape[1]:  # h_t += a_t h_{t-step}; a_t *= a_{t-step}
        h = torch.cat([h[:, :step], torch.addcmul(h[:, step:], a[:, step:], h[:, :-step])], 1)
        a = torch.cat([a[:, :step], a[:, step:] * a[:, :-step]], 1)
        step *= 2
    return (h * C.unsqueeze(2)).sum(-1) + D * x


class Mixer(nn.Module):
    def __init__(self, c):
        super().__init__()
        e, self.rank = c // 2, math.ceil(c / 16)
        self.in_proj, self.out_proj = nn.Linear(c, c, bias=False), nn.Linear(c, c, bias=False)
        self.x_proj, self.dt_proj = nn.Linear(e, self.rank + 16, bias=False), nn.Linear(self.rank, e)
        self.conv1d_x = nn.Conv1d(e, e, 3, padding=1, groups=e, bias=False)
        self.conv1d_z = nn.Conv1d(e, e, 3, padding=1, groups=e, bias=False)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, 9).float()).repeat(e, 1))
        self.D = nn.Parameter(torch.ones(e))

    def forward(self, u):
        x, z = self.in_proj(u).transpose(1, 2).chunk(2, 1)
        x, z = F.silu(self.conv1d_x(x)).transpose(1, 2), F.silu(self.conv1d_z(z)).transpose(1, 2)
        r, B, C = self.x_proj(x).split([self.rank, 8, 8], -1)
        dt = F.softplus((self.dt_proj(r) + self.dt_proj.bias).float())  # the released models count the bias twice
        y = scan(x.float(), dt, -torch.exp(self.A_log.float()), B.float(), C.float(), self.D.float())
        return self.out_proj(torch.cat([y.to(z.dtype), z], -1))


class Attention(nn.Module):
    def __init__(self, c, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(c, 3 * c), nn.Linear(c, c)

    def forward(self, u):
        n, t, c = u.shape
        q, k, v = self.qkv(u).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(c, 4 * c), nn.Linear(4 * c, c)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class TokenBlock(nn.Module):
    def __init__(self, c, heads, attends, gamma):
        super().__init__()
        self.norm1, self.norm2, self.mlp = nn.LayerNorm(c), nn.LayerNorm(c), Mlp(c)
        self.mixer = Attention(c, heads) if attends else Mixer(c)
        self.gamma_1 = nn.Parameter(torch.ones(c)) if gamma else 1
        self.gamma_2 = nn.Parameter(torch.ones(c)) if gamma else 1

    def forward(self, x):
        x = x + self.gamma_1 * self.mixer(self.norm1(x))
        return x + self.gamma_2 * self.mlp(self.norm2(x))


class ConvBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(c, c, 3, padding=1), nn.BatchNorm2d(c)
        self.conv2, self.norm2 = nn.Conv2d(c, c, 3, padding=1), nn.BatchNorm2d(c)

    def forward(self, x):
        return x + self.norm2(self.conv2(F.gelu(self.norm1(self.conv1(x)), approximate="tanh")))


class Level(nn.Module):
    def __init__(self, i, v):
        super().__init__()
        dim, _, depths, heads, windows, _, gamma = v
        c, n = dim << i, depths[i]
        self.window = windows[i] if i > 1 else 0
        first = n // 2 + n % 2  # blocks from here on attend
        self.blocks = nn.ModuleList(TokenBlock(c, heads[i], j >= first, gamma) if i > 1 else ConvBlock(c) for j in range(n))
        self.downsample = None
        if i < 3:
            self.downsample = nn.Module()
            self.downsample.reduction = nn.Sequential(nn.Conv2d(c, 2 * c, 3, 2, 1, bias=False))

    def forward(self, x):
        b, c, h, w = x.shape
        if k := self.window:
            x = F.pad(x, (0, -w % k, 0, -h % k))
            hp, wp = x.shape[2:]
            x = x.reshape(b, c, hp // k, k, wp // k, k).permute(0, 2, 4, 3, 5, 1).reshape(-1, k * k, c)
        for block in self.blocks:
            x = block(x)
        if k:
            x = x.reshape(b, hp // k, wp // k, k, k, c).permute(0, 5, 1, 3, 2, 4).reshape(b, c, hp, wp)[:, :, :h, :w]
        return self.downsample.reduction(x) if self.downsample else x


class MambaVision(nn.Module):
    def __init__(self, v, classes=1000):
        super().__init__()
        dim, in_dim = v[0], v[1]
        self.patch_embed = nn.Module()
        self.patch_embed.conv_down = nn.Sequential(
            nn.Conv2d(3, in_dim, 3, 2, 1, bias=False), nn.BatchNorm2d(in_dim, 1e-4), nn.ReLU(),
            nn.Conv2d(in_dim, dim, 3, 2, 1, bias=False), nn.BatchNorm2d(dim, 1e-4), nn.ReLU())
        self.levels = nn.ModuleList(Level(i, v) for i in range(4))
        self.norm, self.head = nn.BatchNorm2d(dim << 3), nn.Linear(dim << 3, classes)

    def forward(self, x):
        x = self.patch_embed.conv_down(x)
        for level in self.levels:
            x = level(x)
        return self.head(self.norm(x).mean((2, 3)))


def milliseconds(net, x):
    with torch.inference_mode(), torch.autocast("cuda", torch.float16):
        for _ in range(12):
            net(x)
        times = []
        for _ in range(100):
            a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            a.record()
            net(x)
            b.record()
            b.synchronize()
            times.append(a.elapsed_time(b))
    return statistics.median(times)


def check(checkpoint, file):
    from safetensors.torch import load_file
    net = MambaVision(VARIANTS["T"]).eval()
    missing, extra = net.load_state_dict(load_file(checkpoint), strict=False)
    if extra or any("num_batches" not in m for m in missing):
        sys.exit(f"missing {missing}, unexpected {extra}")
    with torch.inference_mode():
        print(*net(load_file(file)["input"])[0].tolist())


def main(names):
    if not torch.cuda.is_available():
        sys.exit("bench_torch.py: PyTorch sees no GPU")
    how = "mamba-ssm's kernel" if selective_scan_fn else "doubling in PyTorch"
    print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}, AMP fp16, channels last; scan: {how}")
    print(f"{'variant':13} {'batch':>6} {'eager img/s':>12} {'ms':>9} {'compile img/s':>14} {'ms':>9}")
    for name in names or ("T", "B", "L2", "L3-512-21K"):
        v = VARIANTS[name]
        net = MambaVision(v).eval().cuda().to(memory_format=torch.channels_last)
        compiled = torch.compile(net, mode="max-autotune")
        for batch in (1, 8, 32, 128):
            x = torch.randn(batch, 3, v[5], v[5], device="cuda").contiguous(memory_format=torch.channels_last)
            row = f"{name:13} {batch:6}"
            for which in (net, compiled):
                try:
                    ms = milliseconds(which, x)
                    row += f" {batch / ms * 1e3:12.1f} {ms:9.3f}"
                except (torch.cuda.OutOfMemoryError, RuntimeError) as e:
                    row += f"  failed: {str(e).splitlines()[0][:60]}"
            print(row, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(*sys.argv[2:4])
    else:
        main(sys.argv[1:])
