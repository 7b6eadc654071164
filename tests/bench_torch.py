#!/usr/bin/env python3
"""How fast the same network runs in PyTorch on this GPU, beside ours.

    bench_torch.py [VARIANT[:BATCH]...] [--beside FILE] [--json FILE] [--logits FOLDER] [--compile NAMES]
                   [--batches 1,8,32,128] [--seconds 3]
    bench_torch.py --check-logits VARIANT --logits FOLDER     those of bench_device, against PyTorch on the CPU
    bench_torch.py --check CHECKPOINT INPUT     logits of a T checkpoint for a .safetensors `input`, on the CPU
    bench_torch.py --check-scan                 the scans beside a loop in float64 (TRITON_INTERPRET=1: on the CPU)

PyTorch runs in the ways that its users know, the stronger of which is the one to compare with:

    eager     AMP fp16          half           the whole network in fp16 (its layer norms and additions, too)
    compile   AMP fp16, max-autotune, frozen   half compile
    graph     half, eager, captured in a CUDA graph: batch 1 only, where launches are most of the time

All are channels last, with the weights that bench_device generates, so that both compute the same: --logits FOLDER
compares with what bench_device kept there (MVSCOPE_BENCH_LOGITS), in fp32 without tf32 and in fp16; more than 1e-4 and
5e-3 apart (relative L2) nothing is timed. --compile names the variants that are compiled (minutes each): none unless told,
or all. --beside lays bench_device's JSON lines (fp16) beside: a ratio is PyTorch's time over ours, above 1 ours is faster;
where bench_device ran before and after, `ours` is the faster and both are kept. --json keeps all of it in one file,
written anew after each row. Without PyTorch, ours are kept alone.

Both sides are timed by the host's clock, from the call until the card is idle: what a caller waits, launches and the
wait included. Pictures lie on the card and logits stay there. Median of up to 100 passes in --seconds, 10 at least, after
a warm-up. CUDA events, which leave launches out, go to the JSON file as *_event_ms.

The scan is mamba-ssm's kernel where that is installed, else a Triton kernel (below), else log2(T) doubling steps in
PyTorch (Hillis & Steele 1986). The first two are held against doubling before they are taken; the output names the one."""
import argparse
import copy
import datetime
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
import types

try:
    import numpy as np
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    from torch import library
except ImportError:
    torch, nn = None, types.SimpleNamespace(Module=object)  # the networks below are then never made
try:
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
except ImportError:
    selective_scan_fn = None
try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

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
SOME = ("T:128", "T:1", "B:128")  # with eager and half about two minutes


# ---- what is written

class Report:
    """Ours as bench_device wrote it, and PyTorch's rows joined to it."""

    def __init__(self, beside, path):
        self.path, self.rows = path, {}
        self.head = {"date": datetime.datetime.now().astimezone().isoformat(timespec="seconds")}
        if beside:
            with open(beside) as file:
                for line in map(json.loads, file):
                    if "model" in line:
                        row, last = self.row(line["model"], line["precision"], line["batch"]), line.get("ms", math.inf)
                        row.setdefault("ours_ms_each", []).append(line.get("ms"))
                        if last <= row.get("ours", {}).get("ms", math.inf):
                            row["ours"] = {k: v for k, v in line.items() if k not in ("model", "precision", "batch")}
                    else:
                        self.head.update(line)
        try:
            driver = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                                    capture_output=True, text=True, check=True, timeout=60).stdout.split()
            self.head["driver"] = driver[0]
        except (OSError, IndexError, subprocess.SubprocessError):
            pass
        self.save()

    def row(self, model, precision, batch):
        return self.rows.setdefault((model, precision, batch), {"model": model, "precision": precision, "batch": batch})

    def ours(self, row):
        return row.get("ours", {}).get("ms")

    def save(self):
        if self.path:
            with open(self.path + ".tmp", "w") as file:
                json.dump({**self.head, "rows": list(self.rows.values())}, file, indent=1)
                file.write("\n")
            os.replace(self.path + ".tmp", self.path)


# ---- scans: x (N E T); dt (N T E) before its bias and softplus; bias, D (E); A (E 8); B, C (N T 8) -> (N T E) as x

def scan_doubling(x, dt, bias, A, B, C, D):
    kind, x, B, C = x.dtype, x.transpose(1, 2).float(), B.float(), C.float()
    dt = F.softplus(dt.float() + bias.float())
    a, h, step = torch.exp(dt.unsqueeze(-1) * A), (dt * x).unsqueeze(-1) * B.unsqueeze(2), 1
    while step < x.shape[1]:  # h_t += a_t h_{t-step}; a_t *= a_{t-step}
        h = torch.cat([h[:, :step], torch.addcmul(h[:, step:], a[:, step:], h[:, :-step])], 1)
        a = torch.cat([a[:, :step], a[:, step:] * a[:, :-step]], 1)
        step *= 2
    return ((h * C.unsqueeze(2)).sum(-1) + D.float() * x).to(kind)


if torch and selective_scan_fn:
    # An operator of its own, so that torch.compile does not break its graph there.
    @library.custom_op("mvscope::scan", mutates_args=())
    def mamba(x: torch.Tensor, dt: torch.Tensor, bias: torch.Tensor, A: torch.Tensor, B: torch.Tensor, C: torch.Tensor,
              D: torch.Tensor) -> torch.Tensor:
        return selective_scan_fn(x, dt, A, B, C, D, delta_bias=bias, delta_softplus=True)

    @mamba.register_fake
    def _(x, dt, bias, A, B, C, D):
        return torch.empty(x.shape, dtype=x.dtype, device=x.device)

    def scan_mamba(x, dt, bias, A, B, C, D):
        B, C = B.transpose(1, 2).contiguous(), C.transpose(1, 2).contiguous()
        x, dt = x.contiguous(), dt.transpose(1, 2).contiguous()
        return mamba(x, dt, bias.float(), A, B, C, D.float()).transpose(1, 2)

if torch and triton:
    TILES = [(4, 4), (2, 4), (2, 8), (4, 8), (8, 4), (8, 8)]  # channels, warps
    if os.getenv("TRITON_INTERPRET"):  # where nothing can be timed
        TILES = TILES[:1]

    @triton.jit
    def then(a, b, c, d):  # h -> a h + b, then h -> c h + d
        return a * c, b * c + d

    # One tile of all T and BE channels; its states one after another, each by a scan along T.
    @triton.autotune([triton.Config({"BE": e}, num_warps=w) for e, w in TILES], key=["N", "T", "E"])
    @triton.jit
    def scan_kernel(x, dt, bias, A, B, C, D, y, N, T, E, x_n, x_e, x_t, dt_n, dt_t, dt_e, B_n, B_t, B_s, C_n, C_t, C_s,
                    BT: tl.constexpr, BE: tl.constexpr):
        n = tl.program_id(0).to(tl.int64)
        e = tl.program_id(1) * BE + tl.arange(0, BE)
        t = tl.arange(0, BT)
        inside = (t < T)[:, None] & (e < E)[None, :]
        u = tl.load(x + n * x_n + t[:, None] * x_t + e[None, :] * x_e, inside, 0).to(tl.float32)
        r = tl.load(dt + n * dt_n + t[:, None] * dt_t + e[None, :] * dt_e, inside, 0).to(tl.float32)
        r += tl.load(bias + e, e < E, 0).to(tl.float32)[None, :]
        p = tl.exp(tl.minimum(r, 20))
        q = 1 + p  # log(1 + p) without losing a small p
        step = tl.where(r > 20, r, tl.where(q == 1, p, tl.log(q) * (p / tl.where(q == 1, 1, q - 1))))
        drive = step * u
        out = u * tl.load(D + e, e < E, 0).to(tl.float32)[None, :]
        for s in tl.static_range(8):
            decay = tl.exp(step * tl.load(A + e * 8 + s, e < E, 0)[None, :])
            b = tl.load(B + n * B_n + t * B_t + s * B_s, t < T, 0).to(tl.float32)
            c = tl.load(C + n * C_n + t * C_t + s * C_s, t < T, 0).to(tl.float32)
            _, h = tl.associative_scan((decay, drive * b[:, None]), 0, then)
            out += h * c[:, None]
        tl.store(y + (n * T + t[:, None]) * E + e[None, :], out.to(y.dtype.element_ty), inside)

    def scan_triton(x, dt, bias, A, B, C, D):
        n, e, t = x.shape
        y = torch.empty((n, t, e), dtype=x.dtype, device=x.device)
        scan_kernel[lambda meta: (n, triton.cdiv(e, meta["BE"]))](
            x, dt, bias, A, B, C, D, y, n, t, e, *x.stride(), *dt.stride(), *B.stride(), *C.stride(),
            BT=triton.next_power_of_2(t))
        return y


scan = scan_doubling  # or what choose_scan finds


def scan_case(n, e, t, device):
    """Arguments of a scan in fp32, laid out as the mixer has them."""
    random = torch.Generator().manual_seed(e + t)

    def normal(*shape):
        return torch.randn(*shape, generator=random).to(device)
    rank = math.ceil(e / 8)
    _, B, C = normal(n, t, rank + 16).split([rank, 8, 8], -1)
    A = -torch.arange(1, 9, device=device).float() * torch.exp(0.3 * normal(e, 8))
    return normal(n, e, t), normal(n, t, e) - 2, normal(e), A, B, C, normal(e)


SCAN_CASES = ((2, 42, 196), (3, 20, 49), (1, 5, 1024), (2, 9, 1))


def distance(a, b):
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def scan_error(f, device):
    with torch.no_grad():
        return max(distance(f(*case), scan_doubling(*case)) for case in (scan_case(*c, device) for c in SCAN_CASES))


def first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:70]


def choose_scan():
    """The first scan that works and agrees with doubling to 1e-5, called directly and compiled; its name."""
    global scan
    for name in ("mamba", "triton"):
        f = globals().get("scan_" + name)
        title = {"mamba": "mamba-ssm's kernel", "triton": "a Triton kernel"}[name]
        if not f:
            continue
        try:
            error = max(scan_error(f, "cuda"), scan_error(torch.compile(f, dynamic=False), "cuda"))
        except Exception as e:  # whatever its compiler raises
            print(f"scan: {title} fails and is not taken: {first_line(e)}")
            continue
        if error < 1e-5:
            scan = f
            return f"{title}, {error:.1e} from doubling"
        print(f"scan: {title} is {error:.1e} from doubling and is not taken")
    return "doubling in PyTorch"


def check_scan():
    def loop(x, dt, bias, A, B, C, D):
        x, dt, A, B, C = x.transpose(1, 2).double(), F.softplus(dt.double() + bias), A.double(), B.double(), C.double()
        h, y = 0, []
        for t in range(x.shape[1]):
            h = torch.exp(dt[:, t, :, None] * A) * h + (dt * x)[:, t, :, None] * B[:, t, None]
            y.append((h * C[:, t, None]).sum(-1) + D * x[:, t])
        return torch.stack(y, 1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for name in ("doubling", "mamba", "triton"):
        f = globals().get("scan_" + name)
        if not f or (device == "cpu" and name == "triton" and not os.getenv("TRITON_INTERPRET")):
            print(f"{name}: not here")
            continue
        for c in SCAN_CASES:
            case = scan_case(*c, device)
            error = distance(f(*case), loop(*case))
            print(f"{name}: N {c[0]}, E {c[1]}, T {c[2]}: {error:.2e} from a loop in float64")
            if not error < 1e-5:
                sys.exit("bench_torch.py: expected below 1e-5")


# ---- the network

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
        # the bias a second time: the released models count it twice
        y = scan(x.transpose(1, 2), self.dt_proj(r), self.dt_proj.bias, -torch.exp(self.A_log.float()), B, C, self.D)
        return self.out_proj(torch.cat([y, z], -1))


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


class Half(nn.Module):
    """The whole network in fp16, of pictures in fp32, as all ways get them."""

    def __init__(self, net):
        super().__init__()
        self.net = copy.deepcopy(net).half()

    def forward(self, x):
        return self.net(x.half())


# ---- the weights and pictures of src/model/generated.c

def uniform(name, n, seed=0):
    """n values in [-1, 1) of splitmix64, keyed by FNV-1a of the name."""
    h, mask = 0xcbf29ce484222325, 2 ** 64 - 1
    for c in name.encode():
        h = (h ^ c) * 0x100000001b3 & mask
    with np.errstate(over="ignore"):
        z = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(h + seed & mask)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2 ** -23) - np.float32(1)


def generated(name, shape):
    v, n = uniform(name, math.prod(shape)), math.prod(shape)
    if name.endswith("A_log"):
        return np.log((np.arange(n) % 8 + 1).astype(np.float32)) + np.float32(0.1) * v
    a, b = 0, math.sqrt(3 / math.prod(shape[1:]))
    if name.endswith("running_var"):
        a, b = 1, 0.5
    elif name.endswith("running_mean"):
        b = 0.1
    elif name.rpartition(".")[2].startswith("gamma"):
        a, b = 0.5, 0.25
    elif name.endswith(".D"):
        a, b = 1, 0.2
    elif name.endswith("dt_proj.bias"):
        a, b = -1.5, 1
    elif name.endswith(".bias"):
        b = 0.1
    elif len(shape) == 1:
        a, b = 1, 0.2
    return np.float32(a) + np.float32(b) * v


def network(name):
    net = MambaVision(VARIANTS[name]).eval()
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                value.copy_(torch.from_numpy(generated(key, tuple(value.shape))).reshape(value.shape))
    return net


def compare_logits(name, net, folder, device):
    """Distances of PyTorch's logits of two generated pictures from ours, by precision; those that are too far end it."""
    side, found = VARIANTS[name][5], {}
    x = torch.from_numpy(uniform("input", 2 * 3 * side * side, 1)).reshape(2, 3, side, side).to(device)
    with torch.no_grad():
        logits = net(x).double().cpu()
    for precision, bound in (("fp32", 1e-4), ("fp16", 5e-3)):
        path = os.path.join(folder, f"{name}-{precision}.f32")
        if os.path.exists(path):
            ours = torch.from_numpy(np.fromfile(path, np.float32)).double().reshape(logits.shape)
            found[precision] = distance(ours, logits)
            print(f"{name}: our {precision} logits are {found[precision]:.1e} from PyTorch's in fp32", flush=True)
            if not found[precision] <= bound:
                sys.exit(f"bench_torch.py: {name}: expected at most {bound:g}: both sides must compute the same")
    return found


# ---- measuring

def medians(call, seconds):
    """Milliseconds of a pass by the host's clock and by CUDA events."""
    for _ in range(12):
        call()
    torch.cuda.synchronize()
    host, card, begin = [], [], time.perf_counter()
    while len(host) < 10 or len(host) < 100 and time.perf_counter() - begin < seconds:
        a = time.perf_counter()
        call()
        torch.cuda.synchronize()
        host.append((time.perf_counter() - a) * 1e3)
    begin = time.perf_counter()
    while len(card) < 10 or len(card) < 100 and time.perf_counter() - begin < seconds:
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        call()
        b.record()
        b.synchronize()
        card.append(a.elapsed_time(b))
    return statistics.median(host), statistics.median(card)


def clean():
    torch._dynamo.reset()
    gc.collect()
    torch.cuda.empty_cache()


def captured(net, x):
    """A pass in a CUDA graph, as PyTorch's documentation captures one."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            net(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        net(x)
    return graph.replay


def measure(net, x, how, seconds):
    """What a row of the report gets of one way to run."""
    failed, key = "?", how.replace(" ", "_")
    compiled, amp = "compile" in how, "half" not in how and how != "graph"
    for freezing in (True, False) if compiled else (False,):
        f = None
        try:
            with torch.no_grad(), torch.autocast("cuda", torch.float16, enabled=amp):
                got = {}
                f = net
                if compiled:
                    torch._inductor.config.freezing = freezing
                    f, begin = torch.compile(net, mode="max-autotune", dynamic=False), time.perf_counter()
                    f(x)
                    torch.cuda.synchronize()
                    got = {key + "_s": round(time.perf_counter() - begin, 1), key + "_frozen": freezing}
                call = captured(net, x) if how == "graph" else lambda: f(x)
                host, card = medians(call, seconds)
            return {**got, key + "_ms": round(host, 4), key + "_event_ms": round(card, 4)}
        except torch.cuda.OutOfMemoryError:
            return {key + "_failed": "out of memory"}
        except Exception as e:  # compilers raise anything
            failed = first_line(e)
            if "out of memory" in str(e).lower():
                return {key + "_failed": "out of memory"}
        finally:
            f = None
            if compiled:
                clean()
    return {key + "_failed": failed}


WAYS = ("eager", "half", "graph", "compile", "half compile")


def cells(row, how, ours):
    key = how.replace(" ", "_")
    if key + "_ms" in row:
        ratio = f"{row[key + '_ms'] / ours:6.2f}x" if ours else f"{'-':>7}"
        return f" {row[key + '_ms']:9.3f} {ratio}"
    return f" {'failed' if row.get(key + '_failed') else '-':>9} {'-':>7}"


def bench_row(nets, name, batch, compiled, report, seconds):
    row = report.row(name, "fp16", batch)
    for how in WAYS:
        if "compile" in how and not compiled or how == "graph" and batch != 1:
            continue
        net, x, side = nets["half" if "half" in how or how == "graph" else "amp"], None, VARIANTS[name][5]
        try:
            x = torch.randn(batch, 3, side, side, device="cuda")
            row.update(measure(net, x.contiguous(memory_format=torch.channels_last), how, seconds))
        except torch.cuda.OutOfMemoryError:  # the pictures themselves
            row[how.replace(" ", "_") + "_failed"] = "out of memory"
        del x
        clean()
        report.save()
    ours = report.ours(row)
    print(f"{name:11} {batch:5} {f'{ours:9.3f}' if ours else '        -'}" + "".join(cells(row, h, ours) for h in WAYS),
          flush=True)
    for how in WAYS:
        key = how.replace(" ", "_")
        if row.get(key + "_frozen") is False:
            print(f"{'':17} {how}: without frozen weights, as that failed", flush=True)
        if key + "_failed" in row:
            print(f"{'':17} {how}: {row[key + '_failed']}", flush=True)


def bench(names, o, compiled, report):
    torch.backends.cudnn.benchmark = True
    report.head.update(card=torch.cuda.get_device_name(), pytorch=torch.__version__, cuda=torch.version.cuda,
                       cudnn=torch.backends.cudnn.version(), scan=choose_scan(),
                       timing="host clock, call until idle; *_event_ms: CUDA events",
                       pytorch_ways="eager, compile: AMP fp16; half, half_compile, graph: fp16; all channels last")
    clean()
    print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}, channels last; host clock, median, ms")
    print(f"scan: {report.head['scan']}; a ratio is PyTorch's time over ours in fp16")
    print(f"{'variant':11} {'batch':>5} {'ours':>9}" + "".join(f" {how:>9} {'ratio':>7}" for how in
                                                             ("eager", "half", "graph", "compile", "half comp")))
    for name in dict.fromkeys(n.partition(":")[0] for n in names):
        net = network(name).cuda()
        if o.logits:
            report.head.setdefault("logits_apart", {})[name] = compare_logits(name, net, o.logits, "cuda")
        net = net.to(memory_format=torch.channels_last)
        nets = {"amp": net, "half": Half(net)}
        for asked in (n for n in names if n.partition(":")[0] == name):
            only = asked.partition(":")[2].partition(":")[0]
            for batch in [int(only)] if only else [int(b) for b in o.batches.split(",")]:
                bench_row(nets, name, batch, name in compiled, report, o.seconds)
        del net, nets
        clean()


def check(checkpoint, file):
    from safetensors.torch import load_file
    net = MambaVision(VARIANTS["T"]).eval()
    missing, extra = net.load_state_dict(load_file(checkpoint), strict=False)
    if extra or any("num_batches" not in m for m in missing):
        sys.exit(f"missing {missing}, unexpected {extra}")
    with torch.inference_mode():
        print(*net(load_file(file)["input"])[0].tolist())


def main():
    p = argparse.ArgumentParser(description="the same network in PyTorch, beside ours")
    p.add_argument("variants", nargs="*", metavar="VARIANT[:BATCH]")
    p.add_argument("--beside", metavar="FILE", help="bench_device's JSON lines")
    p.add_argument("--json", metavar="FILE", help="where all of it is kept")
    p.add_argument("--batches", default="1,8,32,128")
    p.add_argument("--seconds", type=float, default=3, help="for the passes of each way")
    p.add_argument("--logits", metavar="FOLDER", help="compare the logits that bench_device kept there")
    p.add_argument("--compile", default="", metavar="NAMES", help="variants to compile, or all")
    p.add_argument("--check", nargs=2, metavar=("CHECKPOINT", "INPUT"))
    p.add_argument("--check-scan", action="store_true")
    p.add_argument("--check-logits", metavar="VARIANT", help="of bench_device, against PyTorch on the CPU")
    o = p.parse_args()
    if torch and o.check:
        return check(*o.check)
    if torch and o.check_scan:
        return check_scan()
    if torch and o.check_logits:
        return print(compare_logits(o.check_logits, network(o.check_logits), o.logits or ".", "cpu")) and None
    names = [n.removesuffix("+hooks") for n in o.variants or SOME]
    compiled = VARIANTS if o.compile == "all" else [n for n in o.compile.split(",") if n]
    for name in [n.partition(":")[0] for n in names] + list(compiled):
        if name not in VARIANTS:
            p.error(f"no variant '{name}'")
    report = Report(o.beside, o.json)
    if not torch or not torch.cuda.is_available():
        print("no PyTorch here: nothing to compare with" if not torch else "PyTorch sees no GPU: nothing to compare with")
        return None if o.beside else 1
    bench(names, o, compiled, report)
    return None


if __name__ == "__main__":
    sys.exit(main())
