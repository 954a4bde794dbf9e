// The independent implementation that the encoder is compared with: ONNX Runtime's CPU library on a graph that is written here.
//   npm install --ignore-scripts --prefix DIR onnxruntime-node@1.30.0
//   node bench/embedding/peer.mjs DIR golden > tests/GpuKernels.Tests/Embedding/Fixtures/golden.json
//   node bench/embedding/peer.mjs DIR time [TOKENS] [TEXTS]     one thread, MiniLM-L6's shape
// Weights are random and the same in tests/GpuKernels.Tests/Embedding/RandomModel.cs: nothing is downloaded.
import { createRequire } from "node:module";

const [directory, mode, ...rest] = process.argv.slice(2);
if (!directory) { console.error("usage: node peer.mjs DIR golden | time"); process.exit(2); }
const ort = createRequire(`${directory}/node_modules/x.js`)("onnxruntime-node");

// Protocol buffers, as much of them as ONNX's messages need (https://onnx.ai/onnx/repo-docs/IR.html).
const varint = (value) => { const out = []; let v = BigInt.asUintN(64, BigInt(value)); do { const b = Number(v & 127n); v >>= 7n; out.push(v ? b | 128 : b); } while (v); return Buffer.from(out); };
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => { const b = Buffer.isBuffer(value) ? value : Buffer.from(value); return Buffer.concat([varint((field << 3) | 2), varint(b.length), b]); };
const float32 = (field, value) => { const b = Buffer.alloc(4); b.writeFloatLE(value); return Buffer.concat([varint((field << 3) | 5), b]); };
const attribute = (name, value) => bytes(5, Buffer.concat([bytes(1, name), ...(typeof value === "number" && !Number.isInteger(value) ? [float32(2, value), number(20, 1)]
  : Array.isArray(value) ? [...value.map((v) => number(8, v)), number(20, 7)] : [number(3, value), number(20, 2)])]));
const node = (op, inputs, output, attributes = {}, domain = "") => bytes(1, Buffer.concat([...inputs.map((i) => bytes(1, i)), bytes(2, output), bytes(4, op),
  ...Object.entries(attributes).map(([k, v]) => attribute(k, v)), ...(domain ? [bytes(7, domain)] : [])]));
const initializer = (name, dims, data) => bytes(5, Buffer.concat([...dims.map((d) => number(1, d)), number(2, data instanceof Float32Array ? 1 : 7), bytes(8, name), bytes(9, Buffer.from(data.buffer, data.byteOffset, data.byteLength))]));
const value = (field, name, type, dims) => bytes(field, Buffer.concat([bytes(1, name), bytes(2, bytes(1, Buffer.concat([number(1, type), bytes(2, Buffer.concat(dims.map((d) => bytes(1, bytes(2, d)))))])))]));

// Each tensor's values: mulberry32 (Tommy Ettinger, public domain) from the FNV-1a hash of its name, uniform around `centre`.
function tensor(name, count, spread, centre = 0) {
  let state = 0x811c9dc5;
  for (const c of Buffer.from(name)) { state = Math.imul(state ^ c, 0x01000193) >>> 0; }
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    values[i] = ((((t ^ (t >>> 14)) >>> 0) >>> 8) / 16777216 - 0.5) * spread + centre;
  }
  return values;
}

function transposed(values, rows, columns) {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) { for (let c = 0; c < columns; c++) { out[c * rows + r] = values[r * columns + c]; } }
  return out;
}

// Inputs ids, positions [texts, tokens]; output states [texts, tokens, hidden].
function graph(c, fused) {
  const parts = [], weights = [];
  const constant = (name, dims, data) => { weights.push(initializer(name, dims, data)); return name; };
  const matrix = (name, outputs, inputs) => constant(name, [inputs, outputs], transposed(tensor(name, outputs * inputs, c.spread), outputs, inputs));
  const vector = (name, size, centre = 0) => constant(name, [size], tensor(name, size, 0.25, centre));
  let made = 0;
  const apply = (op, inputs, attributes, domain) => { const output = `t${made++}`; parts.push(node(op, inputs, output, attributes, domain)); return output; };
  const scalar = (v) => constant(`s${made++}`, [], Float32Array.of(v));
  const shape = (...dims) => constant(`s${made++}`, [dims.length], BigInt64Array.from(dims.map(BigInt)));
  const linear = (x, name, outputs, inputs) => apply("Add", [apply("MatMul", [x, matrix(`${name}.weight`, outputs, inputs)]), vector(`${name}.bias`, outputs)]);
  const norm = (x, name) => apply("LayerNormalization", [x, vector(`${name}.weight`, c.hidden, 1), vector(`${name}.bias`, c.hidden)], { axis: -1, epsilon: c.epsilon });
  const skipNorm = (x, y, name) => fused
    ? apply("SkipLayerNormalization", [x, y, vector(`${name}.weight`, c.hidden, 1), vector(`${name}.bias`, c.hidden)], { epsilon: c.epsilon }, "com.microsoft")
    : norm(apply("Add", [x, y]), name);
  const activate = (x) => c.tanh
    ? apply("Mul", [apply("Mul", [x, scalar(0.5)]), apply("Add", [scalar(1), apply("Tanh", [apply("Mul", [scalar(Math.sqrt(2 / Math.PI)), apply("Add", [x, apply("Mul", [scalar(0.044715), apply("Mul", [x, apply("Mul", [x, x])])])])])])])])
    : apply("Mul", [apply("Mul", [x, scalar(0.5)]), apply("Add", [scalar(1), apply("Erf", [apply("Div", [x, scalar(Math.SQRT2)])])])]);
  const H = c.hidden, D = H / c.heads;

  const words = apply("Gather", [constant("embeddings.word_embeddings.weight", [c.vocabulary, H], tensor("embeddings.word_embeddings.weight", c.vocabulary * H, 2)), "ids"]);
  const places = apply("Gather", [constant("embeddings.position_embeddings.weight", [c.positions, H], tensor("embeddings.position_embeddings.weight", c.positions * H, 1)), "positions"]);
  const typed = (sum) => c.types ? apply("Add", [sum, constant("segment", [H], tensor("embeddings.token_type_embeddings.weight", c.types * H, 1).slice(0, H))]) : sum;
  let x = norm(typed(apply("Add", [words, places])), "embeddings.LayerNorm");
  // [heads, tokens, tokens]: MPNet's bias of a query's and a key's distance, gathered by the buckets that the caller computes.
  const bias = c.buckets ? apply("Transpose", [apply("Gather", [constant("encoder.relative_attention_bias.weight", [c.buckets, c.heads], tensor("encoder.relative_attention_bias.weight", c.buckets * c.heads, 2)), "buckets"])], { perm: [2, 0, 1] }) : null;
  for (let layer = 0; layer < c.layers; layer++) {
    const at = (name) => `encoder.layer.${layer}.${name}`;
    let context;
    if (fused) {
      const w = new Float32Array(3 * H * H), b = new Float32Array(3 * H);
      ["query", "key", "value"].forEach((part, i) => {
        const t = transposed(tensor(at(`attention.self.${part}.weight`), H * H, c.spread), H, H);
        for (let k = 0; k < H; k++) { w.set(t.subarray(k * H, (k + 1) * H), k * 3 * H + i * H); }
        b.set(tensor(at(`attention.self.${part}.bias`), H, 0.25), i * H);
      });
      context = apply("Attention", [x, constant(at("qkv.weight"), [H, 3 * H], w), constant(at("qkv.bias"), [3 * H], b)], { num_heads: c.heads }, "com.microsoft");
    } else {
      const heads = (part, perm) => apply("Transpose", [apply("Reshape", [linear(x, at(`attention.self.${part}`), H, H), shape(0, 0, c.heads, D)])], { perm });
      const scores = apply("Div", [apply("MatMul", [heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1])]), scalar(Math.sqrt(D))]);
      context = apply("Reshape", [apply("Transpose", [apply("MatMul", [apply("Softmax", [bias ? apply("Add", [scores, bias]) : scores], { axis: -1 }), heads("value", [0, 2, 1, 3])])], { perm: [0, 2, 1, 3] }), shape(0, 0, H)]);
    }
    x = skipNorm(linear(context, at("attention.output.dense"), H, H), x, at("attention.output.LayerNorm"));
    const middle = fused && !c.tanh
      ? apply("BiasGelu", [apply("MatMul", [x, matrix(at("intermediate.dense.weight"), c.intermediate, H)]), vector(at("intermediate.dense.bias"), c.intermediate)], {}, "com.microsoft")
      : activate(linear(x, at("intermediate.dense"), c.intermediate, H));
    x = skipNorm(linear(middle, at("output.dense"), H, c.intermediate), x, at("output.LayerNorm"));
  }
  parts.push(node("Identity", [x], "states"));
  const body = Buffer.concat([...parts, bytes(2, "encoder"), ...weights, value(11, "ids", 7, ["b", "s"]), value(11, "positions", 7, ["b", "s"]), ...(c.buckets ? [value(11, "buckets", 7, ["s", "s"])] : []), value(12, "states", 1, ["b", "s", "h"])]);
  const opset = (domain, version) => bytes(8, Buffer.concat([bytes(1, domain), number(2, version)]));
  return Buffer.concat([number(1, 8), bytes(7, body), opset("", 17), opset("com.microsoft", 1)]);
}

const session = (c, fused) => ort.InferenceSession.create(graph(c, fused), { intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: "sequential", graphOptimizationLevel: "all" });
const int64 = (values, dims) => new ort.Tensor("int64", BigInt64Array.from(values.map(BigInt)), dims);

// As RandomModel.cs has them.
const models = {
  bert: { layers: 2, hidden: 64, heads: 4, intermediate: 256, vocabulary: 512, positions: 80, types: 2, epsilon: 1e-12, spread: 0.5, first: 0, padding: -1 },
  roberta: { layers: 2, hidden: 72, heads: 3, intermediate: 132, vocabulary: 512, positions: 82, types: 1, epsilon: 1e-5, spread: 0.5, first: 2, padding: 1, tanh: true },
  distilbert: { layers: 2, hidden: 64, heads: 4, intermediate: 256, vocabulary: 512, positions: 80, types: 0, epsilon: 1e-12, spread: 0.5, first: 0, padding: -1 },
  mpnet: { layers: 2, hidden: 72, heads: 3, intermediate: 132, vocabulary: 512, positions: 182, types: 0, epsilon: 1e-5, spread: 0.5, first: 2, padding: 1, buckets: 32 },
};

// T5's buckets (Raffel et al. 2019) by their borders: 8 of one distance each, then each is half a power of two wide, up to 128.
const bucket = (distance) => {
  const borders = [8, 8 * Math.SQRT2, 16, 16 * Math.SQRT2, 32, 32 * Math.SQRT2, 64, 64 * Math.SQRT2];
  const size = Math.abs(distance), within = size < 8 ? size : 7 + borders.filter((border) => border <= size).length;
  return within + (distance > 0 ? 16 : 0);
};

if (mode === "golden") {
  const golden = {};
  for (const [name, c] of Object.entries(models)) {
    const run = await session(c, false);
    golden[name] = [];
    for (const tokens of [1, 7, 33, ...(c.buckets ? [180] : [80])]) {
      const draws = tensor(`ids ${tokens}`, tokens, 1, 0.5);
      const ids = Array.from(draws, (v) => 2 + Math.floor(v * (c.vocabulary - 2)));
      // In RoBERTa's counting a padding token in the text takes the padding's position.
      if (tokens === 33 && c.padding >= 0) { ids[5] = c.padding; }
      let count = 0;
      const positions = ids.map((id) => (id === c.padding ? c.padding : c.first + count++));
      const buckets = c.buckets ? { buckets: int64(ids.flatMap((_, query) => ids.map((_, key) => bucket(key - query))), [tokens, tokens]) } : {};
      const { states } = await run.run({ ids: int64(ids, [1, tokens]), positions: int64(positions, [1, tokens]), ...buckets });
      const row = (t) => Array.from(states.data.subarray(t * c.hidden, (t + 1) * c.hidden), (v) => Number(v.toPrecision(7)));
      const mean = Array.from({ length: c.hidden }, (_, i) => { let sum = 0; for (let t = 0; t < tokens; t++) { sum += states.data[t * c.hidden + i]; } return Number((sum / tokens).toPrecision(7)); });
      golden[name].push({ ids, rows: Object.fromEntries([...new Set([0, tokens >> 1, tokens - 1])].map((t) => [t, row(t)])), mean });
    }
  }
  console.log(`{${Object.entries(golden).map(([name, texts]) => `\n"${name}": [${texts.map((text) => `\n${JSON.stringify(text)}`).join(",")}]`).join(",")}\n}`);
} else if (mode === "time") {
  const [tokens, texts] = [Number(rest[0] ?? 128), Number(rest[1] ?? 1)];
  const c = { layers: 6, hidden: 384, heads: 12, intermediate: 1536, vocabulary: 30522, positions: 512, types: 2, epsilon: 1e-12, spread: 0.1, first: 0, padding: -1 };
  for (const fused of [false, true]) {
    const run = await session(c, fused);
    const ids = Array.from(tensor("ids", tokens * texts, 1, 0.5), (v) => Math.floor(v * c.vocabulary));
    const feeds = { ids: int64(ids, [texts, tokens]), positions: int64(ids.map((_, i) => i % tokens), [texts, tokens]) };
    let best = Infinity;
    for (const end = performance.now() + 4000; performance.now() < end;) { const start = performance.now(); await run.run(feeds); best = Math.min(best, performance.now() - start); }
    console.log(`${fused ? "fused" : "plain"} ${(best / texts).toFixed(3)}`);
  }
}
