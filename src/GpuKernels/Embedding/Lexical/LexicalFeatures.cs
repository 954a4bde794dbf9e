using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Embedding.Lexical;

/// <summary>
/// What a text is made of, as 64-bit hashes: its words, and of each word the runs of three and four characters, so that words in other forms or with
/// slips still meet. Characters count in their compatibility decomposition, in lower case and without accents. Scripts without spaces give
/// characters and pairs. All of it is part of what stored vectors mean, so it is written out here and does not follow the keyword index. Not thread-safe.
/// </summary>
internal sealed class LexicalFeatures
{
    /// <summary>Characters of a word; longer runs are data, and are cut into words of this length.</summary>
    private const int LongestWord = 64;

    /// <summary>Scalar values that one character may decompose into.</summary>
    private const int LongestDecomposition = 18;

    /// <summary>Stand for a word's beginning and end: no word has them.</summary>
    private const uint Begin = 2;
    private const uint End = 3;

    private const ulong Prime = 0x100000001b3;
    private const ulong Basis = 0xcbf29ce484222325;

    private readonly uint[] _word = new uint[LongestWord + 2];
    private readonly Dictionary<ulong, int> _words = [];
    private readonly Dictionary<ulong, float> _pieces = [];
    private int _length;
    private uint _before;

    private enum Kind { Word, Unspaced, Mark, Inside, Between }

    /// <summary>How often each word occurs.</summary>
    public IReadOnlyDictionary<ulong, int> Words => _words;

    /// <summary>The words' pieces: of each word those of one length weigh 1 together.</summary>
    public IReadOnlyDictionary<ulong, float> Pieces => _pieces;

    public void Read(string text)
    {
        _words.Clear();
        _pieces.Clear();
        (_length, _before) = (0, 0);
        Span<uint> parts = stackalloc uint[LongestDecomposition];
        foreach (var rune in text.EnumerateRunes())
        {
            if (rune.IsAscii)
            {
                Add(rune.Value is >= 'A' and <= 'Z' ? (uint)rune.Value | 0x20 : (uint)rune.Value);
                continue;
            }

            foreach (var part in parts[..Characters.Decompose((uint)rune.Value, compatible: true, parts)])
            {
                var lower = Characters.LowerOf(part);
                if (lower.IsEmpty) { Fold(part); }
                foreach (var letter in lower) { Fold(letter); }
            }
        }

        EndWord();
    }

    /// <summary>Letters that people write for one another and Unicode does not decompose.</summary>
    private void Fold(uint scalar)
    {
        switch (scalar)
        {
            case 'ß': Add('s'); Add('s'); break;
            case 'æ': Add('a'); Add('e'); break;
            case 'œ': Add('o'); Add('e'); break;
            case 'ø': Add('o'); break;
            case 'ł': Add('l'); break;
            case 'đ': Add('d'); break;
            case 'ı': Add('i'); break;
            case 'ς': Add('σ'); break;
            default: Add(scalar); break;
        }
    }

    private void Add(uint scalar)
    {
        switch (KindOf(scalar))
        {
            case Kind.Word:
                _before = 0;
                Append(scalar);
                break;
            case Kind.Mark when _length > 0: Append(scalar); break;
            case Kind.Unspaced:
                EndWord();
                Count([scalar]);
                if (_before != 0) { Count([_before, scalar]); }

                _before = scalar;
                break;
            case Kind.Mark or Kind.Inside: break;
            case Kind.Between:
                EndWord();
                _before = 0;
                break;
        }
    }

    private void Append(uint scalar)
    {
        if (_length == LongestWord) { EndWord(); }

        _word[1 + _length++] = scalar;
    }

    private void EndWord()
    {
        if (_length == 0) { return; }

        (_word[0], _word[_length + 1]) = (Begin, End);
        Count(_word.AsSpan(1, _length));
        for (var size = 3; size <= 4; size++)
        {
            var pieces = _length + 3 - size;
            for (var at = 0; at < pieces; at++)
            {
                var hash = Hash(_word.AsSpan(at, size), seed: 2);
                _pieces[hash] = _pieces.GetValueOrDefault(hash) + (1f / pieces);
            }
        }

        _length = 0;
    }

    private void Count(ReadOnlySpan<uint> word)
    {
        var hash = Hash(word, seed: 1);
        _words[hash] = _words.GetValueOrDefault(hash) + 1;
    }

    private static Kind KindOf(uint scalar)
    {
        if (scalar < 0x80) { return char.IsAsciiLetterOrDigit((char)scalar) ? Kind.Word : Kind.Between; }
        if (IsAccent(scalar)) { return Kind.Inside; }

        return Characters.CategoryOf(scalar) switch
        {
            Category.Lu or Category.Ll or Category.Lt or Category.Lm or Category.Lo or Category.Nd or Category.Nl or Category.No => IsUnspaced(scalar) ? Kind.Unspaced : Kind.Word,
            Category.Mn or Category.Mc or Category.Me => Kind.Mark,

            // A zero-width space parts words; other format characters, such as a soft hyphen, are inside of them.
            Category.Cf => scalar == 0x200b ? Kind.Between : Kind.Inside,
            _ => Kind.Between,
        };
    }

    /// <summary>Thai, Lao, Myanmar, Khmer, kana, Bopomofo and ideographs. Hangul has spaces, and decomposes into letters.</summary>
    private static bool IsUnspaced(uint scalar) => scalar is (>= 0x0e01 and <= 0x0eff) or (>= 0x1000 and <= 0x109f) or (>= 0x1780 and <= 0x17ff)
        or (>= 0x3005 and <= 0x312f) or (>= 0x3400 and <= 0x4dbf) or (>= 0x4e00 and <= 0x9fff) or (>= 0xf900 and <= 0xfaff) or (>= 0x20000 and <= 0x3ffff);

    /// <summary>Accents of Latin, Greek, Cyrillic, Hebrew and Arabic, which hands leave out; marks that are vowels, as in Indic scripts, are none.</summary>
    private static bool IsAccent(uint scalar) => scalar is (>= 0x0300 and <= 0x036f) or (>= 0x0483 and <= 0x0487) or (>= 0x0591 and <= 0x05bd) or (>= 0x05bf and <= 0x05c7)
        or 0x0640 or (>= 0x064b and <= 0x065f) or 0x0670 or (>= 0x1ab0 and <= 0x1aff) or (>= 0x1dc0 and <= 0x1dff) or (>= 0x20d0 and <= 0x20ff) or (>= 0xfe00 and <= 0xfe2f);

    /// <summary>FNV-1a over scalar values, mixed as MurmurHash3 ends.</summary>
    private static ulong Hash(ReadOnlySpan<uint> text, ulong seed)
    {
        var hash = Basis ^ seed;
        foreach (var scalar in text) { hash = (hash ^ scalar) * Prime; }

        hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
        hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
        return hash ^ (hash >> 33);
    }
}
