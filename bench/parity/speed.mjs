// How fast npm's tokenizers is on one core, and what it did: `node speed.mjs FOLDER [SECONDS]` writes KIND.txt (documents, each ended by a zero byte), tokenizer.json and,
// as lines on standard output, the kind, the bytes and the seconds of the reference and the number of its tokens. Run by `bench/run-kernels tokenise`.
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { Random, scripts, word } from "./texts.mjs";
import { bert, vocabulary } from "./wordpiece.mjs";

process.env.TOKENIZERS_PARALLELISM = "false";
const require = createRequire(import.meta.url);
const { Tokenizer } = require("tokenizers");
const [folder, seconds = "6"] = process.argv.slice(2);
const random = new Random(20);

// Words by Zipf's law: the n-th is met 1/n as often as the first. The first words of a language are its own, the others are made of its letters.
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

const corpora = {
    english: (words => Array.from({ length: 3000 }, () => document(words, true, 500 + random.below(3000))))(lexicon(30_000, common, english)),
    multilingual: scripts.filter(script => script !== "latin").flatMap(script => {
        const words = lexicon(4000, [], () => word(random, script));
        const spaced = !["han", "kana", "thai", "khmer"].includes(script);
        return Array.from({ length: 120 }, () => document(words, spaced, 300 + random.below(1500)));
    }),
    accents: (words => Array.from({ length: 1500 }, () => document(words, true, 500 + random.below(3000))))(lexicon(20_000, [], () => random.below(2) ? english() : word(random, "latin", 7).toLowerCase())),
};

const file = JSON.stringify(bert(vocabulary(Object.values(corpora).map(documents => documents.join("\n").slice(0, 6_000_000)), 60_000)));
writeFileSync(`${folder}/tokenizer.json`, file);
const reference = Tokenizer.fromString(file);
for (const [kind, documents] of Object.entries(corpora)) {
    writeFileSync(`${folder}/${kind}.txt`, documents.map(text => `${text}\0`).join(""));
    // One core: the batch call with parallelism off, in batches that are large enough for its call to cost nothing and small enough for its memory.
    const size = documents.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    let [tokens, best] = [0, Infinity];
    for (let began = performance.now(); performance.now() - began < Number(seconds) * 1000;) {
        const start = performance.now();
        let count = 0;
        for (let at = 0; at < documents.length; at += 100) { for (const encoding of await reference.encodeBatch(documents.slice(at, at + 100))) { count += encoding.getLength(); } }
        best = Math.min(best, (performance.now() - start) / 1000);
        tokens = count;
    }
    console.log([kind, size, best.toFixed(6), tokens].join(" "));
}
