// A WordPiece vocabulary that is counted on texts: no model's file can be had offline, and these tests need none.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { bertNormalizer, bertPreTokenizer } = require("tokenizers");

/** Special tokens, the texts' characters but every 50th (so that some words are unknown), frequent words, and what frequent words begin and go on with. */
export function vocabulary(texts, size, normalizer = bertNormalizer()) {
    const splitter = bertPreTokenizer();
    const words = new Map();
    for (const text of texts) {
        for (let at = 0; at < text.length; at += 50_000) {
            for (const [word] of splitter.preTokenizeString(normalizer.normalizeString(text.slice(at, at + 50_000)))) { words.set(word, (words.get(word) ?? 0) + 1); }
        }
    }
    const characters = new Set();
    const pieces = new Map();
    const count = (piece, n) => pieces.set(piece, (pieces.get(piece) ?? 0) + n);
    for (const [word, n] of words) {
        const letters = [...word];
        for (const letter of letters) { characters.add(letter); }
        if (letters.length > 20) { continue; }
        count(word, n * 3);
        for (let length = 2; length < Math.min(letters.length, 6); length++) {
            count(letters.slice(0, length).join(""), n);
            count(`##${letters.slice(-length).join("")}`, n);
        }
    }
    const made = new Set(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]);
    [...characters].sort().forEach((letter, i) => { if (i % 50 !== 49) { made.add(letter); made.add(`##${letter}`); } });
    for (const [piece] of [...pieces].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))) {
        if (made.size >= size) { break; }
        made.add(piece);
    }
    return Object.fromEntries([...made].map((token, id) => [token, id]));
}

const special = (id, content, more = {}) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...more });

/** A tokenizer.json as BERT's: https://huggingface.co/google-bert/bert-base-uncased has the same stages. */
export function bert(vocab, normalizer = {}, model = {}) {
    return {
        version: "1.0", truncation: null, padding: null,
        added_tokens: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map((token, id) => special(id, token)),
        normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true, ...normalizer },
        pre_tokenizer: { type: "BertPreTokenizer" },
        post_processor: {
            type: "TemplateProcessing",
            single: [{ SpecialToken: { id: "[CLS]", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "[SEP]", type_id: 0 } }],
            pair: [
                { SpecialToken: { id: "[CLS]", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "[SEP]", type_id: 0 } },
                { Sequence: { id: "B", type_id: 1 } }, { SpecialToken: { id: "[SEP]", type_id: 1 } },
            ],
            special_tokens: { "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] }, "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] } },
        },
        decoder: { type: "WordPiece", prefix: "##", cleanup: true },
        model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100, vocab, ...model },
    };
}
