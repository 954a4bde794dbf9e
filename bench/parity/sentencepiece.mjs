// A tokenizer.json from a SentencePiece model: `node sentencepiece.mjs KIND MODEL` for KIND xlmr, t5 or albert, with the stages that transformers' convert_slow_tokenizer.py gives these models.
// `node sentencepiece.mjs texts` writes the sentences to train on. The character map is SentencePiece's own, nmt_nfkc or nmt_nfkc_cf.
import { readFileSync, writeSync } from "node:fs";
import { corpora } from "./texts.mjs";

/** The fields of a protocol buffer message: [number, value], a value being a number or bytes. */
function* fields(bytes) {
    for (let at = 0; at < bytes.length;) {
        const varint = () => { let [value, shift] = [0, 1]; for (;;) { const part = bytes[at++]; value += (part & 127) * shift; if (part < 128) { return value; } shift *= 128; } };
        const key = varint();
        const number = Math.floor(key / 8);
        switch (key % 8) {
            case 0: yield [number, varint()]; break;
            case 1: yield [number, bytes.subarray(at, at += 8)]; break;
            case 2: { const length = varint(); yield [number, bytes.subarray(at, at += length)]; break; }
            case 5: yield [number, bytes.subarray(at, at += 4)]; break;
            default: throw new Error(`wire type ${key % 8}`);
        }
    }
}

// sentencepiece_model.proto: ModelProto { pieces = 1 { piece = 1, score = 2, type = 3 }, normalizer_spec = 3 { precompiled_charsmap = 2 } }.
function read(path) {
    const [pieces, spec] = [[], { charsmap: Buffer.alloc(0) }];
    for (const [number, value] of fields(readFileSync(path))) {
        if (number === 1) { const piece = new Map(fields(value)); pieces.push([piece.get(1).toString("utf8"), Buffer.from(piece.get(2) ?? [0, 0, 0, 0]).readFloatLE(0)]); }
        if (number === 3) { for (const [part, bytes] of fields(value)) { if (part === 2) { spec.charsmap = bytes; } } }
    }
    return { pieces, charsmap: spec.charsmap.toString("base64") };
}

const added = (id, content, more) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...more });
const text = (id, type_id = 0) => ({ Sequence: { id, type_id } });
const mark = (id, type_id = 0) => ({ SpecialToken: { id, type_id } });
const template = (single, pair, tokens) => ({ type: "TemplateProcessing", single, pair, special_tokens: Object.fromEntries(tokens.map(([token, id]) => [token, { id: token, ids: [id], tokens: [token] }])) });
const metaspace = { type: "Metaspace", replacement: "▁", add_prefix_space: true };
const kinds = {
    xlmr: ({ pieces, charsmap }) => {
        const vocab = [["<s>", 0], ["<pad>", 0], ["</s>", 0], ["<unk>", 0], ...pieces.slice(3), ["<mask>", 0]];
        return {
            added_tokens: [added(0, "<s>"), added(1, "<pad>"), added(2, "</s>"), added(3, "<unk>"), added(vocab.length - 1, "<mask>", { lstrip: true })],
            normalizer: { type: "Precompiled", precompiled_charsmap: charsmap },
            pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, metaspace] },
            post_processor: template([mark("<s>"), text("A"), mark("</s>")], [mark("<s>"), text("A"), mark("</s>"), mark("</s>"), text("B"), mark("</s>")], [["<s>", 0], ["</s>", 2]]),
            decoder: metaspace,
            model: { type: "Unigram", unk_id: 3, vocab },
        };
    },
    t5: ({ pieces, charsmap }) => {
        const vocab = [["<pad>", 0], ["</s>", 0], ["<unk>", 0], ...pieces.slice(3), ...Array.from({ length: 100 }, (_, i) => [`<extra_id_${99 - i}>`, 0])];
        return {
            added_tokens: [added(0, "<pad>"), added(1, "</s>"), added(2, "<unk>"), ...Array.from({ length: 100 }, (_, i) => added(vocab.length - 100 + i, `<extra_id_${99 - i}>`))],
            normalizer: { type: "Precompiled", precompiled_charsmap: charsmap },
            pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, metaspace] },
            post_processor: template([text("A"), mark("</s>")], [text("A"), mark("</s>"), text("B"), mark("</s>")], [["</s>", 1]]),
            decoder: metaspace,
            model: { type: "Unigram", unk_id: 2, vocab },
        };
    },
    albert: ({ pieces, charsmap }) => ({
        added_tokens: [added(0, "<unk>"), added(pieces.length, "[CLS]"), added(pieces.length + 1, "[SEP]"), added(pieces.length + 2, "[MASK]", { lstrip: true })],
        normalizer: { type: "Sequence", normalizers: [{ type: "Replace", pattern: { String: "``" }, content: "\"" }, { type: "Replace", pattern: { String: "''" }, content: "\"" }, { type: "NFKD" }, { type: "StripAccents" }, { type: "Lowercase" }, { type: "Precompiled", precompiled_charsmap: charsmap }, { type: "Replace", pattern: { Regex: " {2,}" }, content: " " }] },
        pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
        post_processor: template([mark("[CLS]"), text("A"), mark("[SEP]")], [mark("[CLS]"), text("A"), mark("[SEP]"), text("B", 1), mark("[SEP]", 1)], [["[CLS]", pieces.length], ["[SEP]", pieces.length + 1]]),
        decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
        model: { type: "Unigram", unk_id: 0, vocab: [...pieces, ["[CLS]", 0], ["[SEP]", 0], ["[MASK]", 0]], byte_fallback: false },
    }),
};

const [kind, model] = process.argv.slice(2);
const out = kind === "texts" ? [...corpora(5, 300_000)].filter(([name]) => !/^script-|code|mixed/.test(name)).map(([, each]) => each).join("\n") : JSON.stringify({ version: "1.0", truncation: null, padding: null, ...kinds[kind](read(model)) });
const bytes = Buffer.from(out);
for (let at = 0; at < bytes.length;) { at += writeSync(1, bytes, at); }
