// Writes tests/GpuKernels.Tests/Tokenisation/WordPiece/Fixtures/calls.jsonl: what npm's tokenizers makes of pairs, truncation, padding, post-processors, added
// tokens and decoders. `npm install` in bench/parity, then `node calls-fixtures.mjs`.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { charsmap } from "./charsmap.mjs";
import { Random } from "./texts.mjs";

const require = createRequire(import.meta.url);
const { Tokenizer } = require("tokenizers");
const fixtures = new URL("../../tests/GpuKernels.Tests/Tokenisation/WordPiece/Fixtures/", import.meta.url);
const file = JSON.parse(readFileSync(new URL("tokenizer.json", fixtures), "utf8"));
const random = new Random(5);
const added = (id, content, more) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: false, ...more });
const special = (id, type_id) => ({ SpecialToken: { id, type_id } });
const text = (id, type_id) => ({ Sequence: { id, type_id } });
const next = Object.keys(file.model.vocab).length;

const files = {
    template: {},
    bert: { post_processor: { type: "BertProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2] } },
    roberta: { post_processor: { type: "RobertaProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2], trim_offsets: true, add_prefix_space: false } },
    none: { post_processor: null },
    sequence: {
        post_processor: {
            type: "Sequence",
            processors: [
                { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
                { type: "TemplateProcessing", single: [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)], pair: [text("B", 1), special("[SEP]", 1), text("A", 0), special("[CLS]", 0)], special_tokens: { "[CLS]": { id: "[CLS]", ids: [2, 4], tokens: ["[CLS]", "[MASK]"] }, "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] } } },
            ],
        },
    },
    added: {
        normalizer: { type: "Sequence", normalizers: [{ type: "Strip", strip_left: true, strip_right: true }, file.normalizer] },
        added_tokens: [
            ...file.added_tokens, added(next, "ab", { lstrip: true, rstrip: true }), added(next + 1, "abab", { single_word: true }),
            added(next + 2, "World", { normalized: true, rstrip: true }), added(next + 3, "É", { normalized: true }), added(next + 4, "<s>", { special: true, lstrip: true }),
        ],
    },
    precompiled: {
        normalizer: { type: "Precompiled", precompiled_charsmap: Buffer.from(charsmap([["ﬁ", "fi"], ["e\u0301", "é"], ["\r\n", " "], ["\u200b", ""], ["½", "1/2"], ["a", "A"]])).toString("base64") },
        pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, { type: "CharDelimiterSplit", delimiter: "-" }] },
    },
};
const texts = [
    "", "a", "The man of the year, and more.", "É ab  abab abab! world's World  <s> é ab", "  spaced \t out ", "中文 and 한국어 – 日本", "one two three four five six seven eight nine ten eleven twelve",
    "e\u0301 ﬁne ½\u200b \u200ba\r\nb-c--d", "[CLS] a [MASK] b[SEP]", "don't stop: it's 1234.5", "\u200b\u200bx e\u0301\u0301",
];
const flat = encoding => ({
    ids: encoding.getIds(), types: encoding.getTypeIds(), offsets: encoding.getOffsets().flat(), special: encoding.getSpecialTokensMask(), attention: encoding.getAttentionMask(),
});

const lines = [];
for (let i = 0; i < 260; i++) {
    const name = random.of(Object.keys(files));
    const call = { file: name, text: random.of(texts), pair: random.below(2) ? random.of(texts) : null, special: random.below(4) > 0, truncation: null, padding: null };
    if (random.below(3) > 0) {
        call.truncation = { max_length: 6 + random.below(12), strategy: random.of(["LongestFirst", "LongestFirst", "OnlyFirst", "OnlySecond"]), stride: call.pair === null ? random.below(2) : 0, direction: random.of(["Right", "Left"]) };
    }
    if (random.below(3) === 0) {
        call.padding = { strategy: random.below(2) ? { Fixed: 20 } : "BatchLongest", direction: random.of(["Right", "Left"]), pad_to_multiple_of: random.of([null, 8]), pad_id: 0, pad_type_id: random.below(2), pad_token: "[PAD]" };
    }
    const reference = Tokenizer.fromString(JSON.stringify({ ...file, ...files[name], truncation: call.truncation, padding: call.padding }));
    try { call.made = flat(await reference.encode(call.text, call.pair, { addSpecialTokens: call.special })); }
    catch { call.made = null; }
    lines.push(call);
}

// What is cut off: the reference stops early where a file asks for truncation, so that only cutting afterwards gives all of it.
for (let i = 0; i < 30; i++) {
    const call = { text: random.of(texts), overflow: [], max_length: 3 + random.below(10), stride: random.below(2), direction: random.of(["Right", "Left"]) };
    const encoding = await Tokenizer.fromString(JSON.stringify(file)).encode(call.text, null, { addSpecialTokens: false });
    encoding.truncate(call.max_length, call.stride, call.direction.toLowerCase());
    call.overflow = [encoding, ...encoding.getOverflowing()].map(part => part.getIds());
    lines.push(call);
}

const tokens = ["[UNK]", "he", "##llo", "don", "'", "t", ".", "é", "▁a", "▁", "lo</w>", "w</w>", "<0xE2>", "<0x82>", "<0xAC>", "<0xFF>", "x", " y ", "##", "##s"];
const small = { ...file, added_tokens: [added(0, "[UNK]", { special: true })], post_processor: null, model: { ...file.model, vocab: Object.fromEntries(tokens.map((token, i) => [token, i])) } };
const decoders = [
    null, { type: "WordPiece", prefix: "##", cleanup: true }, { type: "WordPiece", prefix: "##", cleanup: false }, { type: "BPEDecoder", suffix: "</w>" }, { type: "ByteFallback" }, { type: "Fuse" },
    { type: "CTC", pad_token: "he", word_delimiter_token: "x", cleanup: true }, { type: "CTC", pad_token: "[UNK]", word_delimiter_token: "##", cleanup: false },
    { type: "Replace", pattern: { Regex: "(?<=#)|(?i:E)|\\b$" }, content: "-" },
    { type: "Sequence", decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 1 }] },
];
// The first is a letter: the reference ends with a panic where Strip is given nothing.
for (let i = 0; i < 100; i++) {
    const decode = { decoder: decoders[i % decoders.length], ids: [16, ...Array.from({ length: random.below(10) }, () => random.below(tokens.length + 1))], skip: random.below(2) === 0 };
    decode.text = await Tokenizer.fromString(JSON.stringify({ ...small, decoder: decode.decoder })).decode(decode.ids, decode.skip);
    lines.push(decode);
}
const ascii = text => text.replace(/[^ -~]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
writeFileSync(new URL("calls.jsonl", fixtures), [{ files, small }, ...lines].map(line => `${ascii(JSON.stringify(line))}\n`).join(""));
