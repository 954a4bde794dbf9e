// How fast npm's tiktoken and tokenizers are on one core, beside Platform.Kernels in the same run: `node subword-speed.mjs FOLDER bpe|unigram|FILE`, a FILE being a tokenizer.json; run by bench/run-kernels.
// Writes what the other side needs to FOLDER and prints a line for each measurement: reference, corpus, bytes, seconds of processor time.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { corpora, hostile } from "./texts.mjs";
import { kinds } from "./models.mjs";

process.env.TOKENIZERS_PARALLELISM = "false";
const require = createRequire(import.meta.url);
const [folder, part] = process.argv.slice(2);
const least = 0.3;

const chunks = text => { const made = []; for (let at = 0; at < text.length; at += 2000) { made.push(text.slice(at, at + 2000)); } return made; };
const texts = [...corpora(21, 100_000)].map(([name, text]) => [name, chunks(text)]);
if (part === "bpe") { [...hostile(600)].forEach((text, i) => texts.push([`hostile-${i}`, [text]])); }
for (const [name, documents] of texts) {
    const parts = documents.flatMap(text => { const bytes = Buffer.from(text); const length = Buffer.alloc(4); length.writeInt32LE(bytes.length); return [length, bytes]; });
    writeFileSync(`${folder}/${name}.texts`, Buffer.concat(parts));
}

async function measure(reference, encode, most = texts) {
    for (const [name, documents] of most) {
        const bytes = documents.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
        await encode(documents.slice(0, 2));
        let best = Infinity;
        for (let spent = 0; spent < least;) {
            const start = process.cpuUsage();
            await encode(documents);
            const used = process.cpuUsage(start);
            const seconds = (used.user + used.system) / 1e6;
            best = Math.min(best, seconds);
            spent += Math.max(seconds, 1e-4);
        }
        console.log([reference, name, bytes, best].join("\t"));
    }
}

const plain = texts.filter(([name]) => !name.startsWith("hostile"));
async function huggingFace(kind, json = JSON.stringify(kinds[kind]()), most = plain) {
    writeFileSync(`${folder}/${kind}.json`, json);
    const tokeniser = require("tokenizers").Tokenizer.fromString(json);
    await measure(kind, documents => tokeniser.encodeBatch(documents), most);
}

if (part === "bpe") {
    for (const encoding of ["cl100k_base", "o200k_base"]) {
        const file = require(`tiktoken/encoders/${encoding}.json`);
        const lines = file.bpe_ranks.split("\n").filter(line => line.length > 0).map(line => { const [, first, ...tokens] = line.split(" "); return tokens.map((token, i) => `${token} ${Number(first) + i}\n`).join(""); });
        writeFileSync(`${folder}/${encoding}.tiktoken`, lines.join(""));
        const reference = new (require("tiktoken").Tiktoken)(file.bpe_ranks, file.special_tokens, file.pat_str);
        await measure(encoding, documents => { for (const text of documents) { reference.encode(text, [], []); } });
    }
    await huggingFace("llama3");
}
else if (part === "unigram") { await huggingFace("xlmr"); }
else { await huggingFace(basename(part, ".json"), readFileSync(part, "utf8"), plain.filter(([name]) => ["en", "fr", "ru", "hi", "th", "zh", "ja", "code", "mixed"].includes(name))); }
