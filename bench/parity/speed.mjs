// How fast npm's tiktoken and tokenizers are on one core, by turns with Platform.Kernels: `node speed.mjs FOLDER tokenise|bpe|unigram|FILE`, a FILE being a tokenizer.json; run by
// `bench/run-kernels tokenise bpe unigram published`. Writes to FOLDER what the other side needs, CORPUS.texts (each text after its length, four bytes) and REFERENCE.json or
// REFERENCE.tiktoken, prints a line for each comparison (reference, corpus, bytes), and an empty one. For each line "reference, corpus, seconds" on standard input it then encodes for as
// long at least, and answers with the seconds of processor time of the best run and its tokens. Fields are parted by tabs.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import { Random, corpora, hostile, scripts, word } from "./texts.mjs";
import { bert, vocabulary } from "./wordpiece.mjs";
import { kinds } from "./models.mjs";

process.env.TOKENIZERS_PARALLELISM = "false";
const require = createRequire(import.meta.url);
const [folder, part] = process.argv.slice(2);
const comparisons = new Map();

function compare(reference, texts, encode) {
    for (const [corpus, documents] of texts) {
        const parts = documents.flatMap(text => { const bytes = Buffer.from(text); const length = Buffer.alloc(4); length.writeInt32LE(bytes.length); return [length, bytes]; });
        const all = Buffer.concat(parts);
        writeFileSync(`${folder}/${corpus}.texts`, all);
        comparisons.set(`${reference}\t${corpus}`, () => encode(documents));
        console.log([reference, corpus, all.length - 4 * documents.length].join("\t"));
    }
}

function huggingFace(kind, json, texts) {
    writeFileSync(`${folder}/${kind}.json`, json);
    const tokeniser = require("tokenizers").Tokenizer.fromString(json);
    compare(kind, texts, async documents => {
        let tokens = 0;
        // Batches that are large enough for a call to cost nothing and small enough for its memory.
        for (let at = 0; at < documents.length; at += 100) { for (const encoding of await tokeniser.encodeBatch(documents.slice(at, at + 100))) { tokens += encoding.getLength(); } }
        return tokens;
    });
}

const chunks = text => { const made = []; for (let at = 0; at < text.length; at += 2000) { made.push(text.slice(at, at + 2000)); } return made; };
const natural = () => [...corpora(21, 100_000)].map(([name, text]) => [name, chunks(text)]);

if (part === "tokenise") {
    const texts = Object.entries(zipf());
    huggingFace("bert", JSON.stringify(bert(vocabulary(texts.map(([, documents]) => documents.join("\n").slice(0, 6_000_000)), 60_000))), texts);
}
else if (part === "bpe") {
    const texts = [...natural(), ...[...hostile(600)].map((text, i) => [`hostile-${i}`, [text]])];
    for (const encoding of ["cl100k_base", "o200k_base"]) {
        const file = require(`tiktoken/encoders/${encoding}.json`);
        const lines = file.bpe_ranks.split("\n").filter(line => line.length > 0).map(line => { const [, first, ...tokens] = line.split(" "); return tokens.map((token, i) => `${token} ${Number(first) + i}\n`).join(""); });
        writeFileSync(`${folder}/${encoding}.tiktoken`, lines.join(""));
        const reference = new (require("tiktoken").Tiktoken)(file.bpe_ranks, file.special_tokens, file.pat_str);
        compare(encoding, texts, documents => documents.reduce((sum, text) => sum + reference.encode(text, [], []).length, 0));
    }
    huggingFace("llama3", JSON.stringify(kinds.llama3()), natural());
}
else if (part === "unigram") { huggingFace("xlmr", JSON.stringify(kinds.xlmr()), natural()); }
else { huggingFace(basename(part, ".json"), readFileSync(part, "utf8"), natural().filter(([name]) => ["en", "fr", "ru", "hi", "th", "zh", "ja", "code", "mixed"].includes(name))); }

console.log();
for await (const line of createInterface({ input: process.stdin })) {
    const [reference, corpus, seconds] = line.split("\t");
    const encode = comparisons.get(`${reference}\t${corpus}`);
    let [best, tokens] = [Infinity, 0];
    for (let spent = 0; spent < Number(seconds);) {
        const start = process.cpuUsage();
        tokens = await encode();
        const used = process.cpuUsage(start);
        best = Math.min(best, (used.user + used.system) / 1e6);
        spent += Math.max((used.user + used.system) / 1e6, 1e-4);
    }
    console.log([best, tokens].join("\t"));
}

// Words by Zipf's law: the n-th is met 1/n as often as the first. The first words of a language are its own, the others are made of its letters.
function zipf() {
    const random = new Random(20);
    function lexicon(size, first, make) {
        const words = new Set(first);
        while (words.size < size) { words.add(make()); }
        return [...words];
    }
    const pick = words => words[Math.floor(words.length ** (random.below(1_000_000) / 1_000_000)) - 1];
    function document(words, spaced, length) {
        let text = "";
        for (let left = length; left > 0;) {
            const one = text.length === 0 || /[.?!] $/.test(text) ? pick(words).replace(/^./u, letter => letter.toUpperCase()) : pick(words);
            text += one + (random.below(9) === 0 ? random.of([", ", ". ", ". ", ". ", "? ", "; ", ": ", " - ", " (", ") ", ".\n", "'s ", ` ${random.below(2100)} `]) : spaced ? " " : "");
            left -= one.length + 1;
        }
        return text;
    }

    const onsets = ["", "b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "br", "cr", "dr", "fl", "gr", "pl", "pr", "sh", "st", "th", "tr", "ch", "sp", "qu"];
    const vowels = ["a", "e", "i", "o", "u", "ea", "io", "ou", "ai"];
    const codas = ["", "", "n", "r", "s", "t", "l", "m", "d", "ng", "st", "ck", "nt", "ll"];
    const endings = ["", "", "", "s", "ed", "ing", "er", "ly", "tion", "ment", "ness", "al", "ity"];
    const english = () => {
        let text = "";
        for (let n = 1 + random.below(2); n >= 0; n--) { text += random.of(onsets) + random.of(vowels) + random.of(codas); }
        return text + random.of(endings);
    };
    const common = ("the of and to in a is was that for it with as his on be at by i this had not are but from or have an they which one you were all her she there would their we him been has when who will no more if out so up said " +
        "what its about than into them can only other time new some could these two may first then do any like my now over such our man me even most made after also did many off before must well back through years much where your way down").split(" ");

    return {
        english: (words => Array.from({ length: 3000 }, () => document(words, true, 500 + random.below(3000))))(lexicon(30_000, common, english)),
        multilingual: scripts.filter(script => script !== "latin").flatMap(script => {
            const words = lexicon(4000, [], () => word(random, script));
            const spaced = !["han", "kana", "thai", "khmer"].includes(script);
            return Array.from({ length: 120 }, () => document(words, spaced, 300 + random.below(1500)));
        }),
        accents: (words => Array.from({ length: 1500 }, () => document(words, true, 500 + random.below(3000))))(lexicon(20_000, [], () => random.below(2) ? english() : word(random, "latin", 7).toLowerCase())),
    };
}
