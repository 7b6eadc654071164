#!/usr/bin/env python3
"""Writes files as torch.save writes them, without PyTorch: for the tests of the reader.

    tests/torch_file.py LAYOUT IN.safetensors OUT      the tensors of IN, in one of the layouts below
    tests/torch_file.py fixtures FOLDER                the small files of tests/data/torch

Classes and functions of PyTorch are stood in for by empty ones of the same module and name, which is all that a pickle
keeps. Layouts: plain, module, model, nested, ema, lightning, parameters, shared, transposed, expanded, double, bfloat,
untyped, protocol4, deflated, legacy, shards (OUT is a folder). A config.json is written beside OUT.
"""
import argparse
import collections
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

TYPES = {"F32": (np.float32, "FloatStorage"), "F16": (np.float16, "HalfStorage"), "F64": (np.float64, "DoubleStorage"),
         "BF16": (np.uint16, "BFloat16Storage"), "I64": (np.int64, "LongStorage"), "I32": (np.int32, "IntStorage"),
         "U8": (np.uint8, "ByteStorage"), "BOOL": (np.uint8, "BoolStorage")}


def stand_in(module, *names):
    """Empty classes that pickle finds under module.name."""
    parts = module.split(".")
    for i in range(len(parts)):
        sys.modules.setdefault(".".join(parts[: i + 1]), types.ModuleType(".".join(parts[: i + 1])))
    for name in names:
        c = type(name, (), {"__module__": module, "__qualname__": name})
        setattr(sys.modules[module], name, c)
        yield c


STORAGE = {t: next(stand_in("torch", name)) for t, (_, name) in TYPES.items()}
(UNTYPED,) = stand_in("torch.storage", "UntypedStorage")
REBUILD, REBUILD_OLD, REBUILD_V3, REBUILD_PARAMETER = stand_in(
    "torch._utils", "_rebuild_tensor_v2", "_rebuild_tensor", "_rebuild_tensor_v3", "_rebuild_parameter")
DTYPE = dict(zip(("F32", "F16"), stand_in("torch", "float32", "float16")))
(CHECKPOINT,) = stand_in("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")


class Storage:
    def __init__(self, kind, data, declared=None):
        self.kind, self.data, self.declared = kind, np.ascontiguousarray(data).reshape(-1), declared


class Call:
    """Pickled as the call of a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce_ex__(self, protocol):
        return self.function, self.arguments


def tensor(kind, array=None, *, storage=None, offset=0, shape=None, stride=None, how="v2"):
    """A tensor of an array, or a view of a storage."""
    if storage is None:
        storage = Storage(kind, array)
    shape = tuple(array.shape if shape is None else shape)
    if stride is None:
        stride = tuple(int(np.prod(shape[i + 1:], dtype=np.int64)) for i in range(len(shape)))
    if how == "old":
        return Call(REBUILD_OLD, storage, offset, shape, tuple(stride))
    if how == "v3":
        return Call(REBUILD_V3, storage, offset, shape, tuple(stride), False, collections.OrderedDict(), DTYPE[kind])
    t = Call(REBUILD, storage, offset, shape, tuple(stride), False, collections.OrderedDict())
    return Call(REBUILD_PARAMETER, t, True, collections.OrderedDict()) if how == "parameter" else t


def save(path, value, *, root="archive", protocol=2, compression=zipfile.ZIP_STORED, order="little", skip=(),
         checksums=True):
    """The zip of torch.save: storages begin at multiples of 64 bytes. Without checksums as after
    torch.serialization.set_crc32_options(False)."""
    storages = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            if not any(s is value for s in storages):
                storages.append(value)
            key = str([s is value for s in storages].index(True))
            kind = UNTYPED if value.kind == "untyped" else STORAGE[value.kind]
            count = value.data.nbytes if value.kind == "untyped" else value.data.size
            return "storage", kind, key, "cpu", count if value.declared is None else value.declared

    out = io.BytesIO()
    Pickler(out, protocol).dump(value)
    with zipfile.ZipFile(path, "w", compression) as z:
        def write(name, data):
            if name in skip:
                return
            info = zipfile.ZipInfo(f"{root}/{name}", (1980, 1, 1, 0, 0, 0))
            info.compress_type = compression
            short = -(z.fp.tell() + 30 + len(info.filename) + 4) % 64
            info.extra = b"FB" + struct.pack("<H", short) + b"Z" * short
            z.writestr(info, data)

        write("data.pkl", out.getvalue())
        if order:
            write("byteorder", order.encode())
        for i, s in enumerate(storages):
            write(f"data/{i}", s.data.tobytes())
        write("version", b"3\n")
    if not checksums:
        with open(path, "rb") as f:
            parts = f.read()
        for mark, at in (b"PK\x03\x04", 14), (b"PK\x01\x02", 16):
            first, *others = parts.split(mark)
            parts = mark.join([first, *(p[:at - 4] + b"\x01\x02\x03\x04" + p[at:] for p in others)])
        with open(path, "wb") as f:
            f.write(parts)


def save_legacy(path, value):
    """The format before PyTorch 1.6: several pickles, then the storages."""
    with open(path, "wb") as f:
        pickle.dump(0x1950A86A20F9469CFC6C, f, 2)
        pickle.dump(1001, f, 2)
        pickle.dump({"protocol_version": 1001, "little_endian": True}, f, 2)
        pickle.dump({k: None for k in value}, f, 2)


def load(path):
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
        data = f.read()
    header.pop("__metadata__", None)
    return {name: (t["dtype"], np.frombuffer(data[slice(*t["data_offsets"])], TYPES[t["dtype"]][0]).reshape(t["shape"]))
            for name, t in header.items()}


def write_config(path, folder):
    """config.json from the metadata of a safetensors file: what a .pth cannot carry."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    with open(os.path.join(folder, "config.json"), "w") as f:
        f.write(header["__metadata__"]["config"])


def shards(tensors, folder):
    """Two files and their index, as Hugging Face's libraries write them."""
    os.mkdir(folder)
    names = sorted(tensors)
    where = {}
    for i, part in enumerate((names[: len(names) // 2], names[len(names) // 2:])):
        file = f"model-{i + 1:05}-of-00002.safetensors"
        save_safetensors(os.path.join(folder, file), {n: tensors[n] for n in part})
        where |= {n: file for n in part}
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": 0}, "weight_map": where}, f)


def save_safetensors(path, tensors):
    header, data = {}, b""
    for name, (kind, array) in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def ordered(tensors, how="v2", prefix=""):
    return collections.OrderedDict((prefix + n, tensor(k, a, how=how)) for n, (k, a) in tensors.items())


def shared(tensors):
    """All tensors are parts of one storage."""
    whole = Storage("F32", np.concatenate([a.reshape(-1).astype(np.float32) for _, a in tensors.values()]))
    out, at = collections.OrderedDict(), 0
    for name, (_, a) in tensors.items():
        out[name] = tensor("F32", a, storage=whole, offset=at)
        at += a.size
    return out


def transposed(tensors):
    """Matrices are stored by columns, images with the channels last."""
    out = collections.OrderedDict()
    for name, (k, a) in tensors.items():
        last = a if a.ndim < 2 else np.ascontiguousarray(np.moveaxis(a, 1, -1))
        stride = [s // a.itemsize for s in (a if a.ndim < 2 else np.moveaxis(last, -1, 1)).strides]
        out[name] = tensor(k, a, storage=Storage(k, last), stride=stride)
    return out


def expanded(tensors):
    """What is the same everywhere is stored once."""
    out = collections.OrderedDict()
    for name, (k, a) in tensors.items():
        same = a.size > 1 and (a == a.flat[0]).all()
        out[name] = tensor(k, a, storage=Storage(k, a.reshape(-1)[:1]), stride=[0] * a.ndim) if same else tensor(k, a)
    return out


def trainer(tensors, average):
    """What timm's trainer writes."""
    return {"epoch": 3, "arch": "mamba_vision", "state_dict": ordered(tensors),
            "optimizer": {"state": {0: {"step": tensor("F32", np.float32(7)), "exp_avg": tensor("F32", np.ones((2, 3), np.float32))}},
                          "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0]}]},
            "version": 2, "args": argparse.Namespace(lr=0.1, seed=2**70, aug=[None, True], mean=(0.5, -0.5)),
            "state_dict_ema": ordered(average), "metric": np.float64(80.5)}


def lightning(tensors):
    return {"epoch": 1, "pytorch-lightning_version": "2.1.0", "state_dict": ordered(tensors, prefix="net."),
            "callbacks": {CHECKPOINT: {"best_model_score": tensor("F32", np.float32(0.5)), "dirpath": "/tmp"}},
            "optimizer_states": [{"state": {}, "param_groups": []}], "hyper_parameters": {"lr": 0.1}}


def bfloat(array):
    bits = array.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def write(layout, tensors, path):
    if layout == "module":
        save(path, ordered(tensors, prefix="module."))
    elif layout == "model":
        save(path, {"model": ordered(tensors), "epoch": 1})
    elif layout == "nested":
        save(path, {"model_state_dict": dict(ordered(tensors, prefix="module."))}, root="x.pth")
    elif layout == "ema":
        save(path, trainer(tensors, {n: (k, a * 1.25) for n, (k, a) in tensors.items()}))
    elif layout == "lightning":
        save(path, lightning(tensors))
    elif layout == "parameters":
        save(path, ordered(tensors, how="parameter"))
    elif layout == "old":
        save(path, ordered(tensors, how="old"), order=None)
    elif layout == "shared":
        save(path, shared(tensors))
    elif layout == "transposed":
        save(path, transposed(tensors))
    elif layout == "expanded":
        save(path, expanded(tensors))
    elif layout == "double":
        save(path, ordered({n: ("F64", a.astype(np.float64)) for n, (_, a) in tensors.items()}))
    elif layout == "bfloat":
        save(path, ordered({n: ("BF16", bfloat(a)) for n, (_, a) in tensors.items()}))
    elif layout == "untyped":
        save(path, collections.OrderedDict((n, tensor(k, a, storage=Storage("untyped", a.view(np.uint8)), how="v3"))
                                           if k in DTYPE and a.ndim and a.size else (n, tensor(k, a)) for n, (k, a) in tensors.items()))
    elif layout == "protocol4":
        save(path, ordered(tensors), protocol=4)
    elif layout == "deflated":
        save(path, ordered(tensors), compression=zipfile.ZIP_DEFLATED)
    elif layout == "shards":
        shards(tensors, path)
    elif layout == "legacy":
        save_legacy(path, tensors)
    elif layout == "plain":
        save(path, ordered(tensors))
    else:
        sys.exit(f"{layout}: {__doc__}")


def fixtures(folder):
    """views.pth and views.safetensors have the same tensors; so have the others and half, many."""
    base = np.arange(60, dtype=np.float32) * 0.5 - 7
    whole = Storage("F32", base)
    cube = base[5:29].reshape(2, 3, 4)
    half = (np.arange(10) * 0.25 - 1).astype(np.float16)
    views = collections.OrderedDict()
    right = {}

    def put(name, kind, array, value):
        views[name] = value
        right[name] = (kind, array)

    put("dense", "F32", cube, tensor("F32", storage=whole, offset=5, shape=(2, 3, 4)))
    put("transposed", "F32", cube.transpose(2, 0, 1), tensor("F32", storage=whole, offset=5, shape=(4, 2, 3), stride=(1, 12, 4)))
    put("steps", "F32", base[3:40:6], tensor("F32", storage=whole, offset=3, shape=(7,), stride=(6,)))
    put("expanded", "F32", np.broadcast_to(base[9:12], (1000, 3)), tensor("F32", storage=whole, offset=9, shape=(1000, 3), stride=(0, 1)))
    put("one", "F32", base[59:60].reshape(1, 1), tensor("F32", storage=whole, offset=59, shape=(1, 1), stride=(2**62, 5)))
    put("scalar", "F64", np.float64(2.75), tensor("F64", np.float64(2.75)))
    put("empty", "F32", np.zeros((0, 3), np.float32), tensor("F32", np.zeros((0, 3), np.float32)))
    put("parameter", "F16", half.reshape(2, 5), tensor("F16", half.reshape(2, 5), how="parameter"))
    put("half.columns", "F16", half.reshape(2, 5).T, tensor("F16", storage=Storage("F16", half), shape=(5, 2), stride=(1, 5)))
    put("brain", "BF16", bfloat(base[:9]), tensor("BF16", bfloat(base[:9])))
    put("old", "F32", base[:4], tensor("F32", base[:4], how="old"))
    put("untyped", "F32", base[2:8].reshape(3, 2), tensor("F32", storage=Storage("untyped", base[:8].view(np.uint8)), offset=2, shape=(3, 2), how="v3"))
    views["flags"] = tensor("BOOL", np.ones(3, np.uint8))
    views["count"] = tensor("I64", np.int64(5))
    save(f"{folder}/views.pth", views)
    with zipfile.ZipFile(f"{folder}/views.pth") as z, open(f"{folder}/views.pkl", "wb") as f:
        f.write(z.read("archive/data.pkl"))  # seeds for the fuzzer of pickles
    save(f"{folder}/views.deflated.pth", views, compression=zipfile.ZIP_DEFLATED, protocol=4)
    save_safetensors(f"{folder}/views.safetensors", right)
    small = {"a.weight": ("F32", base[:6].reshape(2, 3)), "a.bias": ("F32", base[:2])}
    save(f"{folder}/trainer.pth", trainer(small, small))
    with zipfile.ZipFile(f"{folder}/trainer.pth") as z, open(f"{folder}/trainer.pkl", "wb") as f:
        f.write(z.read("archive/data.pkl"))
    save(f"{folder}/lightning.ckpt", lightning(small))
    more = {"types": [int, str, float, bool, bytes, tuple, object, list, dict, set([1]), frozenset([2]), slice(3), range(4)],
            "state_dict": ordered(small), "k" * 600: 1, "a\0b": [2], (1, 2): 3, 2.5: 4, None: 5}
    for protocol in range(2, 6):
        save(f"{folder}/more{protocol}.pth", more, protocol=protocol, checksums=False)
    save_legacy(f"{folder}/legacy.pth", small)
    save(f"{folder}/short.pth", {"a.bias": tensor("F32", storage=whole, offset=50, shape=(4, 3))})
    save(f"{folder}/lost.pth", {"a.bias": tensor("F32", base)}, skip=("data/0",))
    save(f"{folder}/declared.pth", {"a.bias": tensor("F32", storage=Storage("F32", base, 1000), shape=(900,))})
    save(f"{folder}/bomb.pth", {"a.bias": tensor("F32", storage=whole, shape=(2**30, 2**29), stride=(0, 0))})
    save(f"{folder}/beyond.pth", {"a.bias": tensor("F32", storage=whole, shape=(2**31 - 1,) * 4, stride=(2**60,) * 4)})
    save(f"{folder}/big_endian.pth", {"a.bias": tensor("F32", base)}, order="big")
    save(f"{folder}/name.pth", {"a\x1b[31m": tensor("F32", base)})
    save(f"{folder}/key.pth", {"a\0b": {"c": tensor("F32", base)}})


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "fixtures":
        fixtures(sys.argv[2])
    elif len(sys.argv) == 4:
        write(sys.argv[1], load(sys.argv[2]), sys.argv[3])
        write_config(sys.argv[2], sys.argv[3] if os.path.isdir(sys.argv[3]) else os.path.dirname(sys.argv[3]) or ".")
    else:
        sys.exit(__doc__)
