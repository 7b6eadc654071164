"""What mvscope replaces, beside it, as far as it is installed: Pillow and PyTorch on the CPU. In turns, in one run.

    bench_beside.py BUILD        the folder of the build: build/gcc

A ratio is theirs over ours: above 1 ours is faster. All times but those of starting are CPU time of one thread, the least
of some rounds: other programs of the machine disturb it least.
"""
import io
import json
import os
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True
BUILD, ROUNDS = sys.argv[1] if len(sys.argv) > 1 else "build/gcc", 5
PICTURE = "assets/samples/church.jpg"


def row(what, ours, theirs, whose):
    print(f"{what:28} {ours:9.2f} ms  {theirs:9.2f} ms {whose:24} {theirs / ours:6.2f}", flush=True)


def least(call, rounds=20):
    """Milliseconds of CPU time."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        call()
        best = min(best, time.process_time() - begin)
    return best * 1e3


def child(command):
    """Milliseconds of CPU time of a command, with its threads."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def pictures():
    import PIL
    from PIL import Image

    image = Image.open(PICTURE).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    steps = {
        "decode": lambda: Image.open(PICTURE).convert("RGB"),
        "resize": lambda: image.resize((224, 224), Image.BICUBIC, (left, top, left + side, top + side)),
        "png": lambda: image.save(io.BytesIO(), "PNG"),
    }
    ours, theirs = {}, {}
    for _ in range(ROUNDS):
        for line in subprocess.run([f"{BUILD}/tests/bench_pictures", PICTURE], check=True, capture_output=True,
                                   text=True).stdout.splitlines():
            name, ms, _ = line.split()
            ours[name] = min(ours.get(name, float("inf")), float(ms))
        for name, call in steps.items():
            theirs[name] = min(theirs.get(name, float("inf")), least(call))
    for name in steps:
        row(name, ours[name], theirs[name], f"Pillow {PIL.__version__}")


def starting():
    program = f"{BUILD}/mvscope"
    ours = min(child([program, "classify", PICTURE]) for _ in range(2 * ROUNDS))
    theirs = min(child([sys.executable, "-c", "import torch"]) for _ in range(2))
    row("classify, from exec to exit", ours, theirs, "import torch, alone")


def network(batch, precision):
    import contextlib

    import torch

    import bench_torch

    torch.set_num_threads(1)
    net = bench_torch.network("T").to(memory_format=torch.channels_last)
    x = torch.from_numpy(bench_torch.uniform("input", batch * 3 * 224 * 224, 1)).reshape(batch, 3, 224, 224)
    x = x.to(memory_format=torch.channels_last)
    half = torch.autocast("cpu", dtype=torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    command = [f"{BUILD}/tests/bench_model", "--once", "T", precision, str(batch)]
    ours = theirs = float("inf")
    with torch.inference_mode(), half:
        net(x)
        for _ in range(2 if batch > 1 else ROUNDS):
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            ours = min(ours, told["cpu_ms"])
            theirs = min(theirs, least(lambda: net(x), 1 if batch > 1 else 3))
    row(f"T {precision}, batch {batch}", ours, theirs, f"PyTorch {torch.__version__}")


def gradient(batch):
    """The logit of class 0 differentiated at the picture; the parameters need no gradient."""
    import torch

    import bench_torch

    torch.set_num_threads(1)
    net = bench_torch.network("T").to(memory_format=torch.channels_last).requires_grad_(False)
    x = torch.from_numpy(bench_torch.uniform("input", batch * 3 * 224 * 224, 1)).reshape(batch, 3, 224, 224)
    x = x.to(memory_format=torch.channels_last).requires_grad_()

    def differentiate():
        x.grad = None
        net(x)[:, 0].sum().backward()

    ours, theirs, peak = float("inf"), float("inf"), 0
    differentiate()
    for _ in range(2 if batch > 1 else ROUNDS):
        command = [f"{BUILD}/tests/bench_gradients", "--once", "T", str(batch)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        ours, peak = min(ours, told["gradient_ms"]), told["peak_mb"]
        theirs = min(theirs, least(differentiate, 1 if batch > 1 else 3))
    row(f"T gradient, batch {batch}", ours, theirs, f"PyTorch {torch.__version__}")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'  peak memory of the process':28} {peak:9.1f} MB  {most:9.1f} MB")


print(f"{'':28} {'ours':>9}     {'theirs':>9}")
try:
    pictures()
except ImportError:
    print("Pillow is not installed")
try:
    import torch  # noqa: F401

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    starting()
    for batch in (1, 32):
        for precision in ("fp32", "bf16"):
            network(batch, precision)
    for batch in (1, 8):
        gradient(batch)
except ImportError:
    print("PyTorch is not installed")
