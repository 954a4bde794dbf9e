// tokenizer.json files with the models BPE and Unigram: tiktoken's vocabularies with the stages of GPT-2, Llama 3, Qwen2, GPT-4o and Tekken, and small ones
// that are counted on generated texts, with every option of the models and some characters left out, so that the unknown is met often.
import { createRequire } from "node:module";
import { corpora } from "./texts.mjs";

const require = createRequire(import.meta.url);
const file = more => ({ version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, ...more });
const sequence = (...pretokenizers) => ({ type: "Sequence", pretokenizers });
const texts = () => [...corpora(3, 20_000)].map(([, text]) => text);

/** GPT-2's spelling of bytes. */
const spelling = (() => {
    const characters = [];
    for (let value = 0, next = 256; value < 256; value++) {
        const own = (value >= 33 && value <= 126) || (value >= 161 && value <= 172) || value >= 174;
        characters.push(String.fromCharCode(own ? value : next++));
    }
    return characters;
})();
const spell = bytes => [...bytes].map(value => spelling[value]).join("");

/** A rank file's tokens as vocab and merges: each token is merged from the two that merging its bytes by lower ranks ends in. */
function fromRanks(encoding) {
    const ranks = new Map();
    const tokens = [];
    for (const line of require(`tiktoken/encoders/${encoding}.json`).bpe_ranks.split("\n").filter(line => line.length > 0)) {
        const [, first, ...rest] = line.split(" ");
        rest.forEach((token, i) => { const bytes = Buffer.from(token, "base64"); ranks.set(bytes.toString("latin1"), Number(first) + i); tokens.push([bytes, Number(first) + i]); });
    }
    const vocab = {};
    const merges = [];
    for (const [bytes, rank] of tokens) {
        vocab[spell(bytes)] = rank;
        let parts = [...bytes.toString("latin1")];
        while (parts.length > 2) {
            let [best, at] = [rank, -1];
            for (let i = 0; i + 1 < parts.length; i++) { const other = ranks.get(parts[i] + parts[i + 1]); if (other < best) { [best, at] = [other, i]; } }
            if (at < 0) { break; }
            parts.splice(at, 2, parts[at] + parts[at + 1]);
        }
        if (parts.length === 2) { merges.push(parts.map(part => spell(Buffer.from(part, "latin1")))); }
    }
    return { type: "BPE", vocab, merges };
}

const byteLevel = (add_prefix_space, use_regex, trim_offsets = true) => ({ type: "ByteLevel", add_prefix_space, trim_offsets, use_regex });
const split = (Regex, behavior = "Isolated", invert = false) => ({ type: "Split", pattern: { Regex }, behavior, invert });
const pattern = encoding => require(`tiktoken/encoders/${encoding}.json`).pat_str;
const qwen2 = () => pattern("cl100k_base").replace("{1,3}", "");
const tekken = () => pattern("o200k_base").replaceAll("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "");

/** Merges of characters, the most frequent pair first; every 20th character has no token. */
function characterBpe(merges, { prefix = "", suffix = "", unit = text => text, ...options } = {}) {
    const counts = new Map();
    for (const text of texts()) { for (const [piece] of unit(text).matchAll(/\S+/gu)) { if (piece.length < 40) { counts.set(piece, (counts.get(piece) ?? 0) + 1); } } }
    const words = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 4000).map(([piece, count]) => {
        const characters = [...piece];
        return { symbols: characters.map((character, i) => (i > 0 ? prefix : "") + character + (i + 1 === characters.length ? suffix : "")), count };
    });
    const characters = [...new Set(words.flatMap(word => word.symbols))].sort().filter((_, i) => i % 20 !== 19);
    const tokens = new Set(["<unk>", "<s>", "</s>", ...(options.byte_fallback ? Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`) : []), ...characters]);
    const made = [];
    while (made.length < merges) {
        const pairs = new Map();
        for (const { symbols, count } of words) {
            for (let i = 0; i + 1 < symbols.length; i++) { if (tokens.has(symbols[i]) && tokens.has(symbols[i + 1])) { const key = `${symbols[i]} ${symbols[i + 1]}`; pairs.set(key, (pairs.get(key) ?? 0) + count); } }
        }
        let [best, most] = ["", 1];
        for (const [key, count] of pairs) { if (count > most || (count === most && key < best)) { [best, most] = [key, count]; } }
        if (best === "") { break; }
        const [left, right] = best.split(" ");
        const both = left + right.slice(prefix.length);
        made.push(best);
        tokens.add(both);
        for (const { symbols } of words) { for (let i = 0; i + 1 < symbols.length; i++) { if (symbols[i] === left && symbols[i + 1] === right) { symbols.splice(i, 2, both); } } }
    }
    return {
        type: "BPE", dropout: null, unk_token: "<unk>", continuing_subword_prefix: prefix || null, end_of_word_suffix: suffix || null, fuse_unk: false, byte_fallback: false, ignore_merges: false,
        ...options, vocab: Object.fromEntries([...tokens].map((token, id) => [token, id])), merges: made,
    };
}

/** Frequent parts of words with the logarithm of their frequency; every 20th character has no piece. Many scores are equal or sums of others. */
function unigram(size, options = {}, round = score => score) {
    const counts = new Map();
    const characters = new Map();
    let total = 0;
    for (const text of texts()) {
        for (const [word] of text.matchAll(/\S+/gu)) {
            const letters = [..."\u2581" + word].slice(0, 16);
            for (let from = 0; from < letters.length; from++) {
                characters.set(letters[from], (characters.get(letters[from]) ?? 0) + 1);
                for (let length = 2; length <= Math.min(8, letters.length - from); length++) { const piece = letters.slice(from, from + length).join(""); counts.set(piece, (counts.get(piece) ?? 0) + 1); total++; }
            }
        }
    }
    const frequent = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, size);
    const single = [...characters].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, size).filter((_, i) => i % 20 !== 19);
    const special = ["<s>", "<pad>", "</s>", "<unk>", ...(options.byte_fallback ? Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`) : [])];
    return { type: "Unigram", unk_id: 3, ...options, vocab: [...special.map(piece => [piece, 0]), ...single, ...frequent].map(([piece, count]) => [piece, count === 0 ? 0 : round(Math.log(count / total))]) };
}

/** Bytes spelled as characters by the normaliser, pieces of a fixed length, and merges of characters. */
export const bytecharacters = () => file({
    normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "ByteLevel" }] }, pre_tokenizer: { type: "FixedLength", length: 7 }, decoder: byteLevel(true, true),
    model: characterBpe(300, { unit: text => spell(Buffer.from(text.replaceAll(" ", "\n"))).replaceAll("\u010a", " \u0120") }),
});

/** Expressions of published tokenizer.json files, by one that has it. */
export const published = {
    bloom: " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+",
    clip: "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
    falcon: "[0-9][0-9][0-9]",
    commandR: "\\p{N}{1,3}(?=(?:\\p{N}{3})*\\b)",
    phi4: "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
    tiktoken: "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
    noContractions: " ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    oneDigit: "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    grouped: "(?:'([sdmt]|ll|ve|re))| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    kimi: "[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    deepSeekLines: "[\\r\\n]",
    deepSeekLetters: "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u0391-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u10a0-\u10c5\u13a0-\u13f5\u1e00-\u1f15\ufb00-\ufb06\uff21-\uff3a\u{10400}-\u{1044f}]+",
    deepSeekPunctuation: "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
    deepSeekEnd: "\\s+$",
    deepSeekHan: "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
    deepSeekDigits: "\\p{N}{1,3}",
    deepSeekKana: "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    deepSeekWords: "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    thousands: "(?<=\\d)(?=(?:\\d{3})+(?!\\d))",
    spaces: " {2,}",
    camelCase: "(?<=[a-z])(?=[A-Z])|_",
};

const metaspace = (prepend_scheme, split) => ({ type: "Metaspace", replacement: "\u2581", prepend_scheme, split });
const llama = { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "\u2581" }, { type: "Replace", pattern: { String: " " }, content: "\u2581" }] };

/** Small files for the committed tests. */
export const small = {
    bytes: (tokens, merges) => file({
        pre_tokenizer: byteLevel(true, true), post_processor: byteLevel(true, true), decoder: byteLevel(true, true),
        model: { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [spell(token), id])), merges: merges.map(([left, right]) => `${spell(tokens[left])} ${spell(tokens[right])}`) },
    }),
    characters: () => file({ normalizer: llama, decoder: { type: "Sequence", decoders: [{ type: "ByteFallback" }, { type: "Fuse" }] }, model: characterBpe(150, { unit: text => text.replaceAll(" ", " \u2581"), byte_fallback: true, fuse_unk: true }) }),
    affixes: () => file({ pre_tokenizer: { type: "WhitespaceSplit" }, decoder: { type: "BPEDecoder", suffix: "</w>" }, model: characterBpe(100, { prefix: "##", suffix: "</w>", unk_token: null, ignore_merges: true }) }),
    unigram: () => file({ pre_tokenizer: sequence({ type: "WhitespaceSplit" }, metaspace("always", true)), decoder: metaspace("always", true), model: unigram(900) }),
    fallback: () => file({ pre_tokenizer: metaspace("first", false), decoder: metaspace("first", false), model: unigram(500, { byte_fallback: true }, score => Math.round(score * 2) / 2) }),
};

export const kinds = {
    gpt2: () => file({ pre_tokenizer: byteLevel(false, true), post_processor: byteLevel(true, true, false), decoder: byteLevel(true, true), model: fromRanks("r50k_base") }),
    roberta: () => file({ pre_tokenizer: byteLevel(true, true), post_processor: byteLevel(true, true), decoder: byteLevel(true, true), model: fromRanks("r50k_base") }),
    llama3: () => file({ pre_tokenizer: sequence(split(pattern("cl100k_base")), byteLevel(false, false)), decoder: byteLevel(true, true), model: { ...fromRanks("cl100k_base"), ignore_merges: true } }),
    qwen2: () => file({ normalizer: { type: "NFC" }, pre_tokenizer: sequence(split(qwen2()), byteLevel(false, false)), decoder: byteLevel(true, true), model: fromRanks("cl100k_base") }),
    gpt4o: () => file({ pre_tokenizer: sequence(split(pattern("o200k_base"), "Removed", true), byteLevel(false, false)), decoder: byteLevel(true, true), model: fromRanks("o200k_base") }),
    tekken: () => file({ pre_tokenizer: sequence(split(tekken()), byteLevel(true, false)), decoder: byteLevel(true, true), model: { ...fromRanks("o200k_base"), ignore_merges: true } }),
    bloom: () => file({ pre_tokenizer: sequence(split(published.bloom), byteLevel(false, false)), post_processor: byteLevel(true, true, false), decoder: byteLevel(true, true), model: fromRanks("r50k_base") }),
    openclip: () => file({
        normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "Replace", pattern: { Regex: "\\s+" }, content: " " }, { type: "Lowercase" }] },
        pre_tokenizer: sequence(split(published.clip, "Removed", true), byteLevel(false, true)), decoder: byteLevel(true, true),
        model: characterBpe(300, { suffix: "</w>", unit: text => spell(Buffer.from(text.replaceAll(" ", "\n"))).replaceAll("\u010a", " ") }),
    }),
    falcon: () => file({ pre_tokenizer: sequence({ type: "Punctuation", behavior: "Contiguous" }, byteLevel(false, true), { type: "Digits", individual_digits: false }, split(published.falcon)), decoder: byteLevel(true, true), model: fromRanks("r50k_base") }),
    spelled: () => file({ pre_tokenizer: sequence(byteLevel(true, true), split("\u0120|[^\\p{L}]{2}", "MergedWithNext")), post_processor: byteLevel(true, true), decoder: byteLevel(true, true), model: { ...unigram(2000), vocab: Object.entries(fromRanks("r50k_base").vocab).map(([piece, id]) => [piece, -Math.log(id + 3)]) } }),
    phi4: () => file({ pre_tokenizer: sequence(split(published.phi4, "Removed", true), byteLevel(false, false)), decoder: byteLevel(true, true), model: fromRanks("cl100k_base") }),
    tiktoken: () => file({ pre_tokenizer: sequence(split(published.tiktoken), byteLevel(false, false)), decoder: byteLevel(true, true), model: fromRanks("cl100k_base") }),
    kimi: () => file({ pre_tokenizer: sequence(split(published.kimi), byteLevel(false, false)), decoder: byteLevel(true, true), model: fromRanks("cl100k_base") }),
    commandr: () => file({ normalizer: { type: "NFC" }, pre_tokenizer: sequence(split(published.commandR), byteLevel(false, true)), decoder: byteLevel(true, true), model: fromRanks("cl100k_base") }),
    starcoder: () => file({ pre_tokenizer: sequence({ type: "Digits", individual_digits: true }, byteLevel(false, true)), decoder: byteLevel(true, true), model: fromRanks("r50k_base") }),
    deepseek2: () => file({
        pre_tokenizer: sequence(split(published.deepSeekLines), split(published.deepSeekLetters), split(published.deepSeekPunctuation), split(published.deepSeekEnd), split(published.deepSeekHan), { type: "Digits", individual_digits: true }, byteLevel(false, false)),
        decoder: byteLevel(true, true), model: fromRanks("cl100k_base"),
    }),
    deepseek3: () => file({
        pre_tokenizer: sequence(split(published.deepSeekDigits), split(published.deepSeekKana), split(published.deepSeekWords), byteLevel(false, false)), decoder: byteLevel(true, true), model: fromRanks("cl100k_base"),
    }),
    replaces: () => file({
        normalizer: { type: "Sequence", normalizers: [{ type: "Replace", pattern: { Regex: "(?i)the|\\bw\\w*?e" }, content: "<\u00e9>" }, { type: "Replace", pattern: { Regex: "^|(?<=[a-z])(?=[A-Z])" }, content: "\u2581" }, { type: "Replace", pattern: { Regex: "\\p{Cyrillic}+\\s*" }, content: "" }] },
        pre_tokenizer: sequence(split(" |\\b(?=\\p{L})", "MergedWithNext"), split("(?<=\\d)(?=(?:\\d{3})+(?!\\d))|[.,]", "MergedWithPrevious")),
        decoder: { type: "Sequence", decoders: [{ type: "Replace", pattern: { Regex: "\\B[aeiou]|\u2581" }, content: " " }, { type: "Fuse" }] }, model: characterBpe(400, { unit: text => text.replaceAll(" ", " \u2581"), fuse_unk: true }),
    }),
    llama2: () => file({ normalizer: llama, decoder: { type: "ByteFallback" }, model: characterBpe(400, { unit: text => text.replaceAll(" ", " \u2581"), byte_fallback: true, fuse_unk: true }) }),
    clip: () => file({ pre_tokenizer: { type: "Whitespace" }, decoder: { type: "BPEDecoder", suffix: "</w>" }, model: characterBpe(400, { suffix: "</w>" }) }),
    fused: () => file({ pre_tokenizer: metaspace("first", true), model: characterBpe(400, { unit: text => text.replaceAll(" ", " \u2581"), fuse_unk: true }) }),
    prefixed: () => file({ pre_tokenizer: { type: "WhitespaceSplit" }, model: characterBpe(400, { prefix: "##", suffix: "</w>", unk_token: null, ignore_merges: true }) }),
    somebytes: () => { const model = characterBpe(300, { unit: text => spell(Buffer.from(text.replaceAll(" ", "\n"))).replaceAll("\u010a", " \u0120") }); return file({ pre_tokenizer: byteLevel(false, true), model }); },
    xlmr: () => file({ normalizer: { type: "NFKC" }, pre_tokenizer: sequence({ type: "WhitespaceSplit" }, metaspace("always", true)), decoder: metaspace("always", true), model: unigram(30_000) }),
    t5: () => file({ pre_tokenizer: metaspace("first", true), decoder: metaspace("first", true), model: unigram(8_000, { unk_id: 3 }, score => Math.round(score)) }),
    unsplit: () => file({ pre_tokenizer: metaspace("never", false), decoder: metaspace("never", false), model: unigram(8_000, { byte_fallback: true }, score => Math.round(score * 2) / 2) }),
};
