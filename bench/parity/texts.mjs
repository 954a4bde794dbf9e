// Texts for the parity runs, made from a seed: fuzz, all code points, and corpora of prose, scripts, code and hostile input.

/** xorshift128+ in 32-bit parts: the same texts on every machine. */
export class Random {
    constructor(seed) {
        this.state = Uint32Array.from([seed >>> 0 || 1, 0x9e3779b9, 0x243f6a88, 0xb7e15162]);
        for (let i = 0; i < 20; i++) { this.next(); }
    }

    next() {
        const s = this.state;
        const t = s[3] ^ (s[3] << 11);
        s[3] = s[2]; s[2] = s[1]; s[1] = s[0];
        s[0] = s[0] ^ (s[0] >>> 19) ^ t ^ (t >>> 8);
        return s[0];
    }

    below(limit) { return this.next() % limit; }

    of(list) { return list[this.next() % list.length]; }
}

const ranges = {
    latin: [[0x61, 0x7a], [0x41, 0x5a], [0xc0, 0xff], [0x100, 0x17f]], greek: [[0x391, 0x3c9]], cyrillic: [[0x410, 0x44f]], armenian: [[0x531, 0x556], [0x561, 0x587]],
    georgian: [[0x10d0, 0x10fa], [0x1c90, 0x1cba]], hebrew: [[0x5d0, 0x5ea], [0x5b0, 0x5bc]], arabic: [[0x620, 0x64a], [0x64b, 0x652], [0x660, 0x669]],
    devanagari: [[0x904, 0x939], [0x93e, 0x94d], [0x966, 0x96f]], bengali: [[0x985, 0x9b9], [0x9be, 0x9cd]], tamil: [[0xb85, 0xbb9], [0xbbe, 0xbcd]], thai: [[0xe01, 0xe3a], [0xe40, 0xe4e]],
    ethiopic: [[0x1200, 0x1248]], khmer: [[0x1780, 0x17b3], [0x17b6, 0x17d3]], han: [[0x4e00, 0x9fff]], kana: [[0x3041, 0x3096], [0x30a1, 0x30fa]], hangul: [[0xac00, 0xd7a3]],
};
export const scripts = Object.keys(ranges);

export function word(random, script, most = 10) {
    let text = "";
    for (let n = 1 + random.below(most); n > 0; n--) {
        const [first, last] = random.of(ranges[script]);
        text += String.fromCodePoint(first + random.below(last - first + 1));
    }
    return text;
}

export function codePoint(random) {
    const most = random.of([0x80, 0x250, 0x600, 0x3100, 0x10000, 0x20000, 0x110000]);
    const value = random.below(most);
    return value >= 0xd800 && value <= 0xdfff ? "\u{fffd}" : String.fromCodePoint(value);
}

const fragments = [
    " ", " ", " ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", " \n", "\n ", "\r", "\u00a0", "\u0085", "\u2028", "\u3000", "\u200b", "\u180e", "\ufeff", "\0", "\u0001", "\u001c",
    "'s", "'S", "'t", "'re", "'RE", "'ve", "'m", "'ll", "'Ll", "'d", "'\u017f", "'", "''", "'x", "\u2019s", "s", "S", "\u017f", "\u212a",
    ".", ",", "!", "?", "...", "-", "_", "/", "//", "://", "(", ")", "{}", "[", "]", "#", "@", "$", "%", "^", "&", "*", "+", "=", "<", ">", "|", "\\", "\"", "`", "~", ";", ":",
    "1", "12", "123", "1234", "12345678901", "\u0663", "\u00bd", "\u2167", "\u3007", "\u00b2", "\u{1d7d8}", "a", "b", "ab", "the", "The", "THE", "hello", "World", "camelCase", "HTTPServer", "I'm", "don't",
    "\u00e9", "e\u0301", "\u0301", "\u0301\u0302", "\u00c9", "\u01c5", "\u01c4", "\u02b0", "\u00aa", "\u00df", "\u1e9e", "\u0130", "\u0131", "\ufb01", "\u00c5", "\u0410", "\u0430", "\u0391", "\u03c2",
    "\u05d0", "\u0627", "\u064b", "\u0905", "\u093f", "\u0e01", "\u0e31", "\u4e2d", "\u4e2d\u6587", "\u3042", "\u30fc", "\u1100", "\uac00", "\u{20000}", "\u{1f600}", "\u{1f468}\u200d\u{1f469}", "\u{1f1e9}\u{1f1ea}", "\u{10400}", "\u{10428}",
    "\u2581", "\u2581a", "\u2581\u2581", "\u010a", "\u0120", "\u0120a", "\ufffd", "\uffff", "<unk>", "<s>", "</s>", "<0x41>", "<|endoftext|>",
];

/** A short text of fragments that lie near the borders of the patterns' classes, of words of a script, or of any code points; and one of <paramref name="more"/> now and then. */
export function fuzz(random, more) {
    let text = "";
    const kind = random.below(8);
    for (let n = random.below(kind === 0 ? 40 : 12); n >= 0; n--) {
        text += more && random.below(4) === 0 ? random.of(more) : kind === 1 ? codePoint(random) : kind === 2 && random.below(2) ? word(random, random.of(scripts)) : random.of(fragments);
    }
    return text;
}

/** Every Unicode scalar value: alone, between letters, after a space, before a letter. */
export function* codePoints() {
    for (let value = 0; value < 0x110000; value++) {
        if (value >= 0xd800 && value <= 0xdfff) { continue; }
        const character = String.fromCodePoint(value);
        yield character;
        yield `a${character}b`;
        yield `A${character}${character} ${character}B`;
        yield ` ${character}'s${character}1`;
    }
}

const prose = {
    en: "the of and to in is was that for it with as his on be at by had not are but from or have an they which one you were her all she there would their we him been has when who will more no if out so said what up its about into than them can only other new some could time these two may then do first any my now such like our over man me even most made after also did many before must through years where much your way well down should because each just those people Mr how too little state good very make world still own see men work long here get both between life being under never day same another know while last might us great old year off come since against go came right used take three",
    de: "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis mehr durch man sein wurde sei Straße Größe schön Übung Geschäftsführer Arbeitsverhältnis Fußgängerzone Äpfel",
    fr: "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec ses mais comme ou si leur y dont aux d'une l'homme qu'il été où très même après élève être forêt garçon cœur naïf hôpital français aujourd'hui",
    es: "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si sin sobre este ya entre cuando todo esta ser son dos también fue había era muy años hasta desde está mi porque qué sólo han niño corazón acción mañana pingüino",
    pl: "i w nie na się z do to że jest o jak a po co tak za od jego go już być ale czy przez tylko był przed dla gdy sobie może będzie więc Łódź źródło ćma żółć gęś mąż święto",
    cs: "a v se na je že o s z do i to k ve pro za by ale si po jako podle od jsem tak jeho které nebo už jen byl při své řeka žluťoučký kůň úpěl ďábelské ódy příliš",
    tr: "ve bir bu da için de çok ile ne daha gibi kadar ben o olarak var ama sonra en her mi ya İstanbul ışık güneş çocuk öğretmen şehir ağaç değil",
    ru: "и в не на я быть он с что а по это она этот к но они мы весь который из у то за свой ещё от так для ты же все тот мочь вы человек такой его сказать только или год время дом жизнь",
    uk: "і в не на що я з до та це як у від за по його але він ми так є було її про щоб ще дуже який може вже їжак ґанок",
    el: "και το να του η της με που την από για είναι στο οι τα θα τον δεν σε ένα μου έχει ότι στην μας αυτό ήταν άνθρωπος Ελλάδα",
    ar: "في من على أن إلى عن مع هذا كان التي الذي ما لا هذه كل بعد قد بين كما قال أو حتى يوم عام العربية كتاب مدرسة",
    he: "של את על לא הוא זה עם כי גם או אם היה כל יש מה אני היא אבל רק שלום ספר ירושלים",
    hi: "के है में की से को का और पर यह ने एक कि भी नहीं हैं था जो इस लिए कर तो ही अपने हिन्दी पुस्तक विद्यालय",
    th: "ที่ และ การ เป็น ของ ใน มี ได้ ไม่ จะ ให้ ว่า กับ คน ภาษาไทย หนังสือ โรงเรียน",
    zh: "的 一 是 在 不 了 有 和 人 这 中 大 为 上 个 国 我 以 要 他 时 来 用 们 生 到 作 地 于 出 就 分 对 成 会 可 主 发 年 动 同 工 也 能 下 过 子 说 产 种 面 而 方 后 多 定 行 学 法 所 民 得 经",
    ja: "の に は を た が で て と し れ さ ある いる も する から な こと として い や れる など なっ ない この ため その あっ よう また もの 日本 東京 学校 コンピューター",
    ko: "이 그 것 수 하다 있다 등 들 및 에서 는 은 을 를 의 가 에 로 한국어 학교 사람 시간 우리 나라 생각",
    vi: "của và là có được cho không trong với các một người những này đã để khi về từ ra như đến lại tiếng Việt trường học",
};
const unspaced = new Set(["th", "zh", "ja"]);
export const languages = Object.keys(prose);

function paragraph(random, words, spaced) {
    let text = "";
    for (let sentence = 3 + random.below(6); sentence > 0; sentence--) {
        for (let n = 4 + random.below(18), i = 0; i < n; i++) {
            // Squared, so that the first words of a list are the frequent ones.
            const at = Math.floor((random.below(1000) / 1000) ** 2 * words.length);
            const one = i === 0 ? words[at].charAt(0).toUpperCase() + words[at].slice(1) : words[at];
            text += (i > 0 && spaced ? " " : "") + one + (random.below(12) === 0 && i + 1 < n ? (spaced ? "," : "、") : "");
        }
        text += spaced ? `${random.of([".", ".", ".", "?", "!", ` (${1900 + random.below(130)}).`, `: ${random.below(100000)}.`])} ` : "。";
    }
    return `${text}\n${random.below(3) === 0 ? "\n" : ""}`;
}

function code(random) {
    const name = () => word(random, "latin", 3).replace(/[^a-zA-Z]/g, "x") + random.of(["", "Count", "_id", "List", "Handler", "2"]);
    return random.of([
        () => `for (int ${name()} = 0; i < ${random.below(1000)}; i++)\n{\n    ${name()}.${name()}(${name()}, "${name()}");\n}\n\n`,
        () => `def ${name()}(self, ${name()}=None):\n    """${name()} ${name()}."""\n    return [x for x in self.${name()} if x != ${random.below(99)}]\n\n`,
        () => `    {"${name()}": ${random.below(1e6)}, "${name()}": [1, 2.5e-3, true], "url": "https://example.org/${name()}?q=${name()}&n=${random.below(9)}"},\n`,
        () => `\t\tif err := ${name()}(ctx); err != nil {\n\t\t\treturn fmt.Errorf("${name()}: %w", err)\n\t\t}\n`,
        () => `<div class="${name()} ${name()}"><a href="/${name()}/${random.below(999)}">${name()}</a></div>\n`,
        () => `INSERT INTO ${name()} (${name()}, ${name()}) VALUES (${random.below(1e5)}, '${name()}'); -- ${name()}\n`,
    ])();
}

/** [name, text] of about <paramref name="length"/> UTF-16 units each. */
export function* corpora(seed, length) {
    const grown = make => { let text = ""; while (text.length < length) { text += make(); } return text; };
    const random = new Random(seed);
    for (const language of languages) {
        const words = prose[language].split(" ");
        yield [language, grown(() => paragraph(random, words, !unspaced.has(language)))];
    }
    for (const script of scripts) { yield [`script-${script}`, grown(() => word(random, script) + random.of([" ", " ", " ", ", ", ".\n"]))]; }
    yield ["code", grown(() => code(random))];
    yield ["mixed", grown(() => random.of([() => code(random), () => paragraph(random, prose[random.of(languages)].split(" "), true), () => fuzz(random)])())];
}

/** Texts that are slow for an encoder which is not linear. */
export function* hostile(length) {
    for (const unit of ["a", "ab", "A", "aA", " ", "\n", " \n", "\u4e2d", "\u4e2dA", "\u0301", "\u0301A", "1", "'", "'s", "!", "!\n", "\0", "\u{1f600}", "ab ", "\u2581", "abcdefghijklmnopqrstuvwxyz", "\u0e01\u0e31"]) {
        yield unit.repeat(Math.ceil(length / unit.length));
    }
}
