// Records of npm's tokenizers: `node huggingface.mjs KIND|FILE.json json|corpora|codepoints|hostile|fuzz [CASES [SEED]]`; run by bench/parity/run-tokenizers.
// After the ids of a text, each token's start and end in Unicode scalar values follow where the kind's name ends in +offsets; +whole has all that a pair of the text's halves
// becomes, and its decoded text.
import { createRequire } from "node:module";
import { readFileSync, writeSync } from "node:fs";
import { codePoints, corpora, fuzz, hostile, Random } from "./texts.mjs";
import { end, record } from "./stream.mjs";
import { charsmap } from "./charsmap.mjs";
import { bert, vocabulary } from "./wordpiece.mjs";
import * as models from "./models.mjs";

process.env.TOKENIZERS_PARALLELISM = "false";
const require = createRequire(import.meta.url);
const { Tokenizer } = require("tokenizers");
const [kind, what, cases = "10000000", seed = "1"] = process.argv.slice(2);
const [name, how = "ids"] = kind.split("+");

const words = () => vocabulary([...corpora(3, 60_000)].map(([, text]) => text), 30_000);
const stages = change => { const file = bert(words()); Object.assign(file, change); return file; };
const added = (id, content, more) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: false, ...more });

// Like nmt_nfkc: characters that NFKC changes, white space, what goes, pairs of a letter and a mark, and a cluster.
function replacements() {
    const made = new Map([["\t", " "], ["\n", " "], ["\r", " "], ["\r\n", "n"], ["\0", ""], ["\u0001", ""], ["\u200b", " "], ["\u200d", ""], ["\ufeff", ""], ["e\u0301", "\u00e9"], ["a\u0301", "\u00e1"], ["\u0301", ""], ["l", "ll"], ["\u00a9", "(c)"]]);
    for (let c = 0xa0; c < 0x30000; c++) {
        if (c >= 0xd800 && c <= 0xdfff) { continue; }
        const [before, after] = [String.fromCodePoint(c), String.fromCodePoint(c).normalize("NFKC")];
        if (before !== after && c % 3 !== 0) { made.set(before, after); }
    }
    return [...made];
}

// A tokenizer.json each.
export const kinds = {
    ...models.kinds,
    bert: () => bert(words()),
    cased: () => bert(words(), { lowercase: false }),
    accents: () => bert(words(), { strip_accents: false, clean_text: false, handle_chinese_chars: false }),
    stripped: () => bert(words(), { strip_accents: true, lowercase: false, clean_text: false }),
    nfc: () => stages({ normalizer: { type: "NFC" }, pre_tokenizer: { type: "WhitespaceSplit" } }),
    nfd: () => stages({ normalizer: { type: "NFD" }, pre_tokenizer: { type: "Whitespace" } }),
    nfkc: () => stages({ normalizer: { type: "Sequence", normalizers: [{ type: "NFKC" }, { type: "Lowercase" }] }, pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, { type: "Punctuation", behavior: "MergedWithPrevious" }] } }),
    nfkd: () => stages({
        normalizer: { type: "Sequence", normalizers: [{ type: "Nmt" }, { type: "NFKD" }, { type: "StripAccents" }, { type: "Replace", pattern: { Regex: " {2,}" }, content: " " }, { type: "Replace", pattern: { String: "b" }, content: "é!" }] },
        pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Whitespace" }, { type: "Digits", individual_digits: true }, { type: "Punctuation", behavior: "Contiguous" }] },
    }),
    precompiled: () => stages({
        normalizer: { type: "Sequence", normalizers: [{ type: "Precompiled", precompiled_charsmap: Buffer.from(charsmap(replacements())).toString("base64") }, { type: "Replace", pattern: { Regex: " {2,}" }, content: " " }] },
        pre_tokenizer: { type: "WhitespaceSplit" },
    }),
    wordlevel: () => stages({
        normalizer: { type: "Lowercase" }, pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "UnicodeScripts" }, { type: "FixedLength", length: 3 }] }, post_processor: null,
        decoder: { type: "CTC", pad_token: "a", word_delimiter_token: "e", cleanup: true }, model: { type: "WordLevel", vocab: words(), unk_token: "[UNK]" },
    }),
    scripts: () => stages({
        normalizer: null, pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, { type: "UnicodeScripts" }] }, post_processor: null,
        decoder: { type: "CTC", pad_token: "[PAD]", word_delimiter_token: "|", cleanup: false }, model: { type: "WordLevel", vocab: words(), unk_token: "[UNK]" },
    }),
    scriptsalone: () => ({ ...models.small.fallback(), pre_tokenizer: { type: "UnicodeScripts" } }),
    bytecharacters: () => models.bytecharacters(),
    e5: () => ({ ...models.kinds.xlmr(), normalizer: { type: "Precompiled", precompiled_charsmap: Buffer.from(charsmap(replacements())).toString("base64") } }),
    added: () => {
        const file = bert(words());
        const first = Object.keys(file.model.vocab).length;
        file.normalizer = { type: "Sequence", normalizers: [{ type: "Strip", strip_left: true, strip_right: true }, { type: "Prepend", prepend: "the " }, file.normalizer] };
        file.pre_tokenizer = { type: "Sequence", pretokenizers: [{ type: "BertPreTokenizer" }, { type: "Digits", individual_digits: false }, { type: "Split", pattern: { String: "l" }, behavior: "MergedWithNext", invert: false }] };
        file.added_tokens.push(
            added(first, "ab", { lstrip: true, rstrip: true }), added(first + 1, "abab", { single_word: true }), added(first + 2, "World", { normalized: true, rstrip: true }),
            added(first + 3, "É", { normalized: true }), added(first + 4, "<s>", { special: true, lstrip: true }), added(first + 5, "'s", { single_word: true, normalized: true }), added(first + 6, "the"));
        return file;
    },
};

const isFile = name.endsWith(".json");
const file = isFile ? readFileSync(name, "utf8") : JSON.stringify(kinds[name]());
if (what === "json") {
    const bytes = Buffer.from(file);
    for (let at = 0; at < bytes.length;) { at += writeSync(1, bytes, at); }
    process.exit(0);
}

const reference = Tokenizer.fromString(file);
const everything = encoding => [
    ...encoding.getIds(), ...encoding.getTypeIds(), ...encoding.getSpecialTokensMask(), ...encoding.getAttentionMask(), ...encoding.getOffsets().flat(),
    ...encoding.getWordIds().map(word => word ?? -1),
];
const halves = text => { const letters = [...text]; const middle = letters.length >> 1; return [letters.slice(0, middle).join(""), letters.slice(middle).join("")]; };
let batch = [];
async function flush() {
    if (batch.length === 0) { return; }
    const encodings = how === "whole" ? await Promise.all(batch.map(text => reference.encode(...halves(text)))) : await reference.encodeBatch(batch);
    const decoded = how === "whole" ? [await reference.decodeBatch(encodings.map(each => each.getIds()), true), await reference.decodeBatch(encodings.map(each => each.getIds()), false)] : [];
    batch.forEach((text, i) => record(text, how === "ids" ? encodings[i].getIds()
        : how === "offsets" ? [...encodings[i].getIds(), ...encodings[i].getOffsets().flat()]
            : [...everything(encodings[i]), ...decoded.flatMap(texts => [...Buffer.from(texts[i])])]));
    batch = [];
}

// The file's own tokens, as they are and as texts have them, so that fuzz meets them.
const spelled = isFile ? own(JSON.parse(file)) : undefined;
function own({ added_tokens: tokens, model: { vocab } }) {
    const random = new Random(7);
    const words = Array.isArray(vocab) ? vocab.map(([piece]) => piece) : Object.keys(vocab);
    const added = tokens.flatMap(({ content }) => [content, ` ${content}`, `${content} \n`, content.toLowerCase()]);
    return [...added.length === 0 ? [] : Array.from({ length: 600 }, () => random.of(added)), ...Array.from({ length: 3000 }, () => random.of(words)).flatMap(word => [word, word.replace(/^##/, "").replaceAll("\u0120", " ").replaceAll("\u2581", " ")])];
}
async function emit(text) {
    if (batch.push(text) >= 1000 || text.length > 10_000) { await flush(); }
}
switch (what) {
    case "corpora": for (const [, text] of corpora(Number(seed), 400_000)) { await emit(text); } break;
    case "codepoints": for (const text of codePoints()) { await emit(text); } break;
    case "hostile": for (const length of [1, 2, 15, 16, 17, 47, 48, 63, 64, 65, 99, 100, 101, 102, 1000, 100_000]) { for (const text of hostile(length)) { await emit(text); } } break;
    case "fuzz": { const random = new Random(Number(seed)); for (let i = 0; i < Number(cases); i++) { await emit(fuzz(random, spelled)); } break; }
    default: throw new Error(`unknown: ${what}`);
}
await flush();
end();
