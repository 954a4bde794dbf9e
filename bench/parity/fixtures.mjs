// Writes the fixtures of tests/GpuKernels.Tests/Tokenisation/Bpe: small vocabularies that are counted here, texts, and hashes of the ids, offsets and decoded texts
// that npm's tiktoken and tokenizers give for them. `npm install` in bench/parity, then `node bench/parity/fixtures.mjs`.
import { createRequire } from "node:module";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { corpora, fuzz, hostile, Random } from "./texts.mjs";
import { small } from "./models.mjs";

const require = createRequire(import.meta.url);
const { Tiktoken } = require("tiktoken");
const { Tokenizer } = require("tokenizers");
const folder = fileURLToPath(new URL("../../tests/GpuKernels.Tests/Tokenisation/Bpe/Fixtures/", import.meta.url));
mkdirSync(folder, { recursive: true });

/** Merges of byte sequences, the most frequent pair first, in the order in which they were made. */
function train(texts, merges) {
    const counts = new Map();
    for (const text of texts) { for (const [piece] of text.matchAll(/ ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+/gu)) { counts.set(piece, (counts.get(piece) ?? 0) + 1); } }
    const words = [...counts].map(([piece, count]) => ({ symbols: [...Buffer.from(piece, "utf8")], count }));
    const tokens = Array.from({ length: 256 }, (_, i) => Buffer.from([i]));
    const made = [];
    while (made.length < merges) {
        const pairs = new Map();
        for (const { symbols, count } of words) {
            for (let i = 0; i + 1 < symbols.length; i++) { const key = symbols[i] * 65536 + symbols[i + 1]; pairs.set(key, (pairs.get(key) ?? 0) + count); }
        }
        let [best, most] = [-1, 1];
        for (const [key, count] of pairs) { if (count > most || (count === most && key < best)) { [best, most] = [key, count]; } }
        if (best < 0) { break; }
        const [left, right] = [Math.floor(best / 65536), best % 65536];
        const token = Buffer.concat([tokens[left], tokens[right]]);
        if (tokens.some(other => other.equals(token))) { throw new Error("a token twice"); }
        tokens.push(token);
        made.push([left, right]);
        for (const word of words) {
            const { symbols } = word;
            for (let i = 0; i + 1 < symbols.length; i++) { if (symbols[i] === left && symbols[i + 1] === right) { symbols.splice(i, 2, tokens.length - 1); } }
        }
    }
    return { tokens, made };
}

const { tokens, made } = train([...corpora(7, 6000)].map(([, text]) => text), 1200);
const ranks = tokens.map((token, i) => `${token.toString("base64")} ${i}\n`).join("");
writeFileSync(`${folder}small.tiktoken`, ranks);

const random = new Random(11);
const texts = [];
for (let i = 0; i < 700; i++) { texts.push(fuzz(random)); }
for (const [, text] of corpora(13, 300)) { texts.push(text); }
for (const length of [2, 65, 300]) { texts.push(...hostile(length)); }
writeFileSync(`${folder}texts.jsonl`, texts.map(text => `${JSON.stringify(text).replace(/[^ -~]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`).join(""));

/** Of every text the number of its ids and the ids, 32-bit little-endian. */
async function hash(encode) {
    const sha = createHash("sha256");
    for (const text of texts) { const ids = await encode(text); sha.update(Int32Array.from([ids.length, ...ids])); }
    return sha.digest("hex");
}

const hashes = {};
for (const name of ["r50k_base", "cl100k_base", "o200k_base"]) {
    const { pat_str } = require(`tiktoken/encoders/${name}.json`);
    const reference = new Tiktoken(`! 0 ${tokens.map(token => token.toString("base64")).join(" ")}`, {}, pat_str);
    hashes[name] = await hash(text => reference.encode(text, [], []));
}
for (const [name, make] of Object.entries(small)) {
    const json = JSON.stringify(make(tokens, made));
    writeFileSync(`${folder}${name}.json`, `${json}\n`);
    const reference = Tokenizer.fromString(json);
    hashes[name] = await hash(async text => (await reference.encode(text)).getIds());
    hashes[`${name} decoded`] = await hash(async text => Buffer.from(await reference.decode((await reference.encode(text)).getIds(), true)));
    hashes[`${name} offsets`] = await hash(async text => (await reference.encode(text)).getOffsets().flat());
}
writeFileSync(`${folder}hashes.json`, `${JSON.stringify(hashes, null, 2)}\n`);
