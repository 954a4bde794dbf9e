// Published encoders here beside ONNX Runtime, by precision of the weights: `bench/embedding/run-published` calls it.
//   node published.mjs ORT KERNELS FOLDER...    a FOLDER holds model.onnx and vocab.txt of a BERT; what sentence-transformers would have beside them is written into FOLDER/st
// Sentences are those of the project's own docs. ONNX Runtime is given the ids that our tokeniser made, so that the encoder alone is compared.
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, writeFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { bert } from "../parity/wordpiece.mjs";

const [directory, kernels, ...folders] = process.argv.slice(2);
if (!folders.length) { console.error("usage: node published.mjs ORT KERNELS FOLDER..."); process.exit(2); }
const ort = createRequire(`${directory}/node_modules/x.js`)("onnxruntime-node");

// Of each model what its sentence-transformers repository says and its ONNX file does not.
const known = {
    minilm: { pooling: "mean_tokens", tokens: 256, heads: 12 },
    "arctic-xs": { pooling: "cls_token", tokens: 512, heads: 12 },
};

// Protocol buffers: [field, value] of a message (https://protobuf.dev/programming-guides/encoding).
function* fields(message) {
    let at = 0;
    const varint = () => {
        for (let value = 0, factor = 1; ; factor *= 128) {
            const byte = message[at++];
            value += (byte & 127) * factor;
            if (byte < 128) { return value; }
        }
    };
    while (at < message.length) {
        const tag = varint(), field = Math.floor(tag / 8);
        switch (tag % 8) {
            case 0: yield [field, varint()]; break;
            case 1: yield [field, message.subarray(at, at += 8)]; break;
            case 2: { const length = varint(); yield [field, message.subarray(at, at += length)]; break; }
            case 5: yield [field, message.subarray(at, at += 4)]; break;
            default: throw new Error(`wire type ${tag % 8} at ${at}`);
        }
    }
}

const all = (message, field) => [...fields(message)].filter(([f]) => f === field).map(([, value]) => value);

/** Names as in PyTorch: a weight that is multiplied from the right has lost its name in the file, and the bias that is added to the product says which one it is. */
function weights(onnx) {
    const [graph] = all(onnx, 7);
    const tensors = new Map(all(graph, 5).map(tensor => [all(tensor, 8).toString(), { dims: all(tensor, 1), type: all(tensor, 2)[0], data: all(tensor, 9)[0] }]));
    const products = new Map(), named = new Map();
    for (const node of all(graph, 1)) {
        const [inputs, [output], type] = [all(node, 1).map(String), all(node, 2).map(String), all(node, 4).toString()];
        if (type === "MatMul" && tensors.has(inputs[1])) { products.set(output, inputs[1]); }
        if (type === "Add") {
            const bias = inputs.find(name => name.endsWith(".bias")), product = inputs.find(name => products.has(name));
            if (bias && product) { named.set(bias.replace(/bias$/, "weight"), transposed(tensors.get(products.get(product)))); }
        }
    }
    for (const [name, tensor] of tensors) {
        if (tensor.type === 1 && /^(embeddings|encoder)\./.test(name)) { named.set(name, tensor); }
    }
    return named;
}

function transposed({ dims: [rows, columns], data }) {
    const out = Buffer.alloc(data.length);
    for (let r = 0; r < rows; r++) { for (let c = 0; c < columns; c++) { out.writeUInt32LE(data.readUInt32LE(4 * (r * columns + c)), 4 * (c * rows + r)); } }
    return { dims: [columns, rows], data: out };
}

function writeModel(folder, { pooling, tokens, heads }) {
    const tensors = weights(readFileSync(`${folder}/model.onnx`)), to = `${folder}/st`;
    mkdirSync(`${to}/1_Pooling`, { recursive: true });
    const header = {};
    let end = 0;
    for (const [name, { dims, data }] of tensors) { header[name] = { dtype: "F32", shape: dims, data_offsets: [end, end += data.length] }; }
    const text = Buffer.from(JSON.stringify(header)), size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    const file = openSync(`${to}/model.safetensors`, "w");
    for (const part of [size, text, ...[...tensors.values()].map(tensor => tensor.data)]) { writeSync(file, part); }
    closeSync(file);

    const shape = name => tensors.get(name).dims;
    const [vocabulary, hidden] = shape("embeddings.word_embeddings.weight");
    const write = (name, value) => writeFileSync(`${to}/${name}`, JSON.stringify(value));
    write("config.json", {
        model_type: "bert", hidden_act: "gelu", layer_norm_eps: 1e-12, hidden_size: hidden, vocab_size: vocabulary, num_attention_heads: heads,
        num_hidden_layers: [...tensors.keys()].filter(name => name.endsWith(".intermediate.dense.weight")).length, intermediate_size: shape("encoder.layer.0.intermediate.dense.weight")[0],
        max_position_embeddings: shape("embeddings.position_embeddings.weight")[0], type_vocab_size: shape("embeddings.token_type_embeddings.weight")[0],
    });
    write("modules.json", ["Transformer", "Pooling", "Normalize"].map((type, idx) => ({ idx, name: `${idx}`, path: ["", "1_Pooling", "2_Normalize"][idx], type: `sentence_transformers.models.${type}` })));
    write("1_Pooling/config.json", { word_embedding_dimension: hidden, [`pooling_mode_${pooling}`]: true });
    write("sentence_bert_config.json", { max_seq_length: tokens, do_lower_case: false });

    const words = readFileSync(`${folder}/vocab.txt`, "utf8").split("\n").map(line => line.replace(/\r$/, "")).filter(line => line.length > 0);
    const tokeniser = bert(Object.fromEntries(words.map((token, id) => [token, id])));
    tokeniser.added_tokens.forEach(token => { token.id = words.indexOf(token.content); });
    tokeniser.post_processor.special_tokens = Object.fromEntries(["[CLS]", "[SEP]"].map(token => [token, { id: token, ids: [words.indexOf(token)], tokens: [token] }]));
    write("tokenizer.json", tokeniser);
    return to;
}

/** 200 sentences, evenly from all of docs/. */
function sentences() {
    const docs = new URL("../../docs/", import.meta.url);
    const found = readdirSync(docs, { recursive: true }).filter(name => name.endsWith(".md")).sort()
        .flatMap(name => readFileSync(new URL(name, docs), "utf8").replace(/```[\s\S]*?```/g, "").replace(/^[#|>].*$/gm, "").split(/\n\s*\n/))
        .flatMap(paragraph => paragraph.replace(/\s+/g, " ").split(/(?<=[.!?]) (?=[A-Z])/)).map(sentence => sentence.trim()).filter(sentence => /^[A-Z].{30,}[.!?]$/.test(sentence));
    const distinct = [...new Set(found)];
    return Array.from({ length: 200 }, (_, i) => distinct[Math.floor(i * distinct.length / 200)]);
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
const neighbours = vectors => vectors.map((vector, i) => vectors.map((other, j) => [j, dot(vector, other)]).filter(([j]) => j !== i).sort((a, b) => b[1] - a[1]).map(([j]) => j));
const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;

async function reference(folder, texts, pooling) {
    const session = await ort.InferenceSession.create(`${folder}/model.onnx`, { intraOpNumThreads: 1, interOpNumThreads: 1 });
    const vectors = [];
    for (const ids of texts) {
        const int64 = values => new ort.Tensor("int64", BigInt64Array.from(values.map(BigInt)), [1, ids.length]);
        const { last_hidden_state: states } = await session.run({ input_ids: int64(ids), attention_mask: int64(ids.map(() => 1)), token_type_ids: int64(ids.map(() => 0)) });
        const hidden = states.dims[2];
        vectors.push(Array.from({ length: hidden }, (_, i) => pooling === "cls_token" ? states.data[i] : mean(ids.map((_, token) => states.data[token * hidden + i]))));
    }
    return vectors.map(vector => { const norm = Math.sqrt(dot(vector, vector)); return vector.map(value => value / norm); });
}

const texts = sentences();
console.log("| model, 200 sentences | weights | MiB of linear layers | least cosine to ONNX Runtime's vectors | mean | the same nearest neighbour | of the ten nearest |\n|---|---|---|---|---|---|---|");
for (const folder of folders) {
    const model = known[basename(folder)], written = writeModel(folder, model);
    const lines = execFileSync(kernels, ["embed", written], { input: texts.join("\n"), maxBuffer: 1 << 28 }).toString().trim().split("\n").map(line => JSON.parse(line));
    const expected = await reference(folder, lines.shift(), model.pooling), order = neighbours(expected);
    for (const { precision, mebibytes, vectors } of lines) {
        const cosines = vectors.map((vector, i) => cosine(vector, expected[i])), mine = neighbours(vectors);
        const first = mean(mine.map((near, i) => Number(near[0] === order[i][0]))), ten = mean(mine.map((near, i) => near.slice(0, 10).filter(j => order[i].slice(0, 10).includes(j)).length / 10));
        console.log(`| ${basename(folder)} | ${precision} | ${mebibytes.toFixed(1)} | ${Math.min(...cosines).toFixed(6)} | ${mean(cosines).toFixed(6)} | ${(100 * first).toFixed(1)} % | ${(100 * ten).toFixed(1)} % |`);
    }
}
