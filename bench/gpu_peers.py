"""The same work by torch, transformers and sentence-transformers, for bench/gpu.sh: python3 gpu_peers.py MODEL FILE.

MODEL is the folder that `devices model` wrote (random weights, MiniLM-L6's shape) and `devices measure` left its ids and vectors in. FILE gets a
line for each figure: key, name, value, with tabs between. What is not installed is said and left out.
"""
import sys
import time

model_folder, results = sys.argv[1:3]
WIDTH, MIDDLE, LENGTH = 384, 1536, 128


def add(key, name, value):
    with open(results, "a", encoding="utf-8") as file:
        file.write(f"{key}\t{name}\t{value:.5g}\n")
    print(f"{key} {name}: {value:.5g}", file=sys.stderr)


def step(name, work):
    try:
        work()
    except Exception as error:  # A peer that fails is left out of the table, and the others go on.
        print(f"== {name} was not run: {type(error).__name__}: {error}")


def tokenise(key):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{model_folder}/{key}.json")
    with open(f"{model_folder}/texts.txt", encoding="utf-8") as file:
        texts = file.read().splitlines()
    size = sum(len(text.encode()) for text in texts)
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        tokenizer.encode_batch(texts, add_special_tokens=False)
        best = min(best, time.perf_counter() - started)
    for each in [key, f"{key}/cpu"]:
        add(each, "tokenizers, all cores", size / best / 1e9)


for key in ["tokenise", "bpe"]:
    step("tokenizers", lambda: tokenise(key))
try:
    import numpy
    import torch
except ImportError as error:
    print(f"== no peers: {error}")
    sys.exit(0)
if not torch.cuda.is_available():
    print("== no peers: torch sees no card")
    sys.exit(0)
device = torch.device("cuda")


def seconds(work, runs=20):
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    best = float("inf")
    for _ in range(runs):
        before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        before.record()
        work()
        after.record()
        torch.cuda.synchronize()
        best = min(best, before.elapsed_time(after) / 1000)
    return best


def linear_layers():
    # torch's bf16 linear layers are cuBLASLt's.
    for key, m, n, k in [("peak", 8192, 8192, 8192), ("qkv", 8192, 3 * WIDTH, WIDTH), ("out", 8192, WIDTH, WIDTH), ("up", 8192, MIDDLE, WIDTH), ("down", 8192, WIDTH, MIDDLE)]:
        a = torch.randn(m, k, device=device, dtype=torch.bfloat16)
        w = torch.randn(n, k, device=device, dtype=torch.bfloat16)
        bias = torch.zeros(n, device=device, dtype=torch.bfloat16)
        add(f"gemm/{key}", "cuBLASLt (torch)", 2 * m * n * k / seconds(lambda: torch.nn.functional.linear(a, w, bias)) / 1e12)


def copies():
    size = 256 << 20
    host = torch.empty(size, dtype=torch.uint8).pin_memory()
    card, other = torch.empty(size, dtype=torch.uint8, device=device), torch.empty(size, dtype=torch.uint8, device=device)
    add("copy/up", "torch", size / seconds(lambda: card.copy_(host, non_blocking=True), 5) / 1e9)
    add("copy/down", "torch", size / seconds(lambda: host.copy_(card, non_blocking=True), 5) / 1e9)
    add("copy/within", "torch", 2 * size / seconds(lambda: other.copy_(card), 5) / 1e9)


def load(dtype):
    from transformers import BertModel

    return BertModel.from_pretrained(model_folder, add_pooling_layer=False).eval().to(device, dtype)


def embed(model, ids):
    states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return torch.nn.functional.normalize(states.mean(1).float(), dim=1)


def agreement():
    ids = torch.from_numpy(numpy.fromfile(f"{model_folder}/ids.i32", dtype=numpy.int32).reshape(-1, LENGTH).astype(numpy.int64)).to(device)
    ours = torch.from_numpy(numpy.fromfile(f"{model_folder}/vectors.f32", dtype=numpy.float32).reshape(-1, WIDTH)).to(device)
    with torch.inference_mode():
        theirs = embed(load(torch.float32), ids)
    cosine = (ours * theirs).sum(1).min().item()
    print(f"== our vectors beside transformers' in float32: least cosine {cosine:.6f} ({'right' if cosine > 0.9995 else 'WRONG'}, at least 0.9995)")


def encoder():
    model = load(torch.bfloat16)
    ids = torch.randint(1000, 30000, (512, LENGTH), device=device)
    with torch.inference_mode():
        add("encoder", "transformers bf16", 512 / seconds(lambda: embed(model, ids)))
        compiled = torch.compile(embed, mode="max-autotune")
        add("encoder", "torch.compile bf16", 512 / seconds(lambda: compiled(model, ids)))


def sentence_transformers():
    from sentence_transformers import SentenceTransformer, models

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{i}" for i in range(30517)]
    with open(f"{model_folder}/vocab.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(words) + "\n")
    from transformers import BertTokenizerFast

    BertTokenizerFast(f"{model_folder}/vocab.txt").save_pretrained(model_folder)
    transformer = models.Transformer(model_folder, max_seq_length=LENGTH)
    whole = SentenceTransformer(modules=[transformer, models.Pooling(WIDTH), models.Normalize()], device="cuda").to(torch.bfloat16)
    random = numpy.random.default_rng(1)
    texts = [" ".join(words[5 + i] for i in random.integers(0, 30000, LENGTH - 2)) for _ in range(4096)]
    whole.encode(texts[:512], batch_size=512)
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        whole.encode(texts, batch_size=512)
        best = min(best, time.perf_counter() - started)
    add("encoder", "sentence-transformers bf16, from text", len(texts) / best)


for name, work in [("cuBLASLt", linear_layers), ("copies", copies), ("agreement", agreement), ("encoder", encoder), ("sentence-transformers", sentence_transformers)]:
    step(name, work)
