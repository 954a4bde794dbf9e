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
    llama2: () => file({ normalizer: llama, decoder: { type: "ByteFallback" }, model: characterBpe(400, { unit: text => text.replaceAll(" ", " \u2581"), byte_fallback: true, fuse_unk: true }) }),
    clip: () => file({ pre_tokenizer: { type: "Whitespace" }, decoder: { type: "BPEDecoder", suffix: "</w>" }, model: characterBpe(400, { suffix: "</w>" }) }),
    fused: () => file({ pre_tokenizer: metaspace("first", true), model: characterBpe(400, { unit: text => text.replaceAll(" ", " \u2581"), fuse_unk: true }) }),
    prefixed: () => file({ pre_tokenizer: { type: "WhitespaceSplit" }, model: characterBpe(400, { prefix: "##", suffix: "</w>", unk_token: null, ignore_merges: true }) }),
    somebytes: () => { const model = characterBpe(300, { unit: text => spell(Buffer.from(text.replaceAll(" ", "\n"))).replaceAll("\u010a", " \u0120") }); return file({ pre_tokenizer: byteLevel(false, true), model }); },
    xlmr: () => file({ normalizer: { type: "NFKC" }, pre_tokenizer: sequence({ type: "WhitespaceSplit" }, metaspace("always", true)), decoder: metaspace("always", true), model: unigram(30_000) }),
    t5: () => file({ pre_tokenizer: metaspace("first", true), decoder: metaspace("first", true), model: unigram(8_000, { unk_id: 3 }, score => Math.round(score)) }),
    unsplit: () => file({ pre_tokenizer: metaspace("never", false), decoder: metaspace("never", false), model: unigram(8_000, { byte_fallback: true }, score => Math.round(score * 2) / 2) }),
};
