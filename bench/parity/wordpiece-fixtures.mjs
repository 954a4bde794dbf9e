// Writes the fixtures of tests/GpuKernels.Tests/Tokenisation/WordPiece: a small vocabulary that is counted here, and hashes of what npm's tokenizers makes of
// the texts of Bpe/Fixtures/texts.jsonl. `npm install` in bench/parity, then `node wordpiece-fixtures.mjs`.
import { createRequire } from "node:module";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { corpora } from "./texts.mjs";
import { bert, vocabulary } from "./wordpiece.mjs";

const require = createRequire(import.meta.url);
const { Tokenizer } = require("tokenizers");
const tests = new URL("../../tests/GpuKernels.Tests/Tokenisation/", import.meta.url);
mkdirSync(new URL("WordPiece/Fixtures/", tests), { recursive: true });
const texts = readFileSync(new URL("Bpe/Fixtures/texts.jsonl", tests), "utf8").split("\n").filter(line => line).map(line => JSON.parse(line));
const ascii = text => text.replace(/[^ -~]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
const file = bert(vocabulary([...corpora(7, 3000)].map(([, text]) => text), 4000));
writeFileSync(new URL("WordPiece/Fixtures/tokenizer.json", tests), `${ascii(JSON.stringify(file)).replace(/,(?=\\?"[^:,]{1,200}":\d)/g, ",\n")}\n`);

/** With the file's vocabulary. Of every text the number of its numbers and the numbers, 32-bit little-endian. */
async function hash(change, encode) {
    const tokenizer = Tokenizer.fromString(JSON.stringify({ ...file, ...change, model: { ...(change.model ?? file.model), vocab: file.model.vocab } }));
    const sha = createHash("sha256");
    for (const text of texts) { const numbers = encode(await tokenizer.encode(text)); sha.update(Int32Array.from([numbers.length, ...numbers])); }
    return sha.digest("hex");
}
const offsets = encoding => [...encoding.getIds(), ...encoding.getOffsets().flat()];
const sequence = (...normalizers) => ({ type: "Sequence", normalizers });
const splits = (...pretokenizers) => ({ type: "Sequence", pretokenizers });
const changes = {
    bert: {},
    cased: { normalizer: { ...file.normalizer, lowercase: false } },
    nfc: { normalizer: { type: "NFC" }, pre_tokenizer: { type: "WhitespaceSplit" } },
    nfkd: { normalizer: sequence({ type: "Nmt" }, { type: "NFKD" }, { type: "StripAccents" }, { type: "Lowercase" }), pre_tokenizer: splits({ type: "Whitespace" }, { type: "Digits", individual_digits: true }) },
    nfkc: { normalizer: sequence({ type: "NFKC" }, { type: "Strip", strip_left: true, strip_right: true }, { type: "Prepend", prepend: "the " }), pre_tokenizer: splits({ type: "WhitespaceSplit" }, { type: "Punctuation", behavior: "MergedWithNext" }) },
    wordlevel: {
        normalizer: { type: "Lowercase" }, pre_tokenizer: splits({ type: "UnicodeScripts" }, { type: "FixedLength", length: 3 }), post_processor: null, model: { type: "WordLevel", unk_token: "[UNK]" },
    },
    bytes: {
        normalizer: sequence({ type: "ByteLevel" }, { type: "Replace", pattern: { Regex: "(?i:\\u0120(?=[a-z]))" }, content: " " }),
        pre_tokenizer: splits({ type: "Split", pattern: { Regex: "\\s|(?<=[a-z])(?=[A-Z])" }, behavior: "MergedWithNext", invert: false }, { type: "Split", pattern: { String: "a" }, behavior: "Contiguous", invert: true }), post_processor: null,
    },
};
const hashes = {};
for (const [name, change] of Object.entries(changes)) { hashes[name] = { change, ids: await hash(change, encoding => encoding.getIds()), offsets: await hash(change, offsets) }; }
writeFileSync(new URL("WordPiece/Fixtures/hashes.json", tests), `${JSON.stringify(hashes, null, 2)}\n`);
