using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>A pre-tokeniser's regular expression as a scanner: what a search for the next match finds, in time linear in the text.</summary>
internal interface IPiecePattern
{
    /// <summary>Where the match ends that begins at <paramref name="start"/>; every text is wholly covered by them.</summary>
    /// <param name="text">Valid UTF-8.</param>
    /// <param name="start">The first byte of a character, below <paramref name="length"/>.</param>
    static abstract int End(ref byte text, int start, int length);
}

/// <summary>GPT-2, and tiktoken's r50k_base and p50k_base.</summary>
internal readonly struct Gpt2Pattern : IPiecePattern
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int End(ref byte text, int start, int length)
    {
        var first = Unsafe.Add(ref text, start);
        if (first == '\'' && Scan.LowerContraction(ref text, start, length) is var contraction && contraction > start) { return contraction; }

        var at = first == ' ' ? start + 1 : start;
        if (at < length)
        {
            var kind = UnicodeClasses.At(ref text, at, out var size);
            if ((kind & UnicodeClasses.Letter) != 0) { return Scan.Letters(ref text, at + size, length); }

            if (kind == UnicodeClasses.Number) { return Scan.Run(ref text, at + size, length, UnicodeClasses.Number); }

            if (kind != UnicodeClasses.Space) { return Scan.Others(ref text, at + size, length); }
        }

        return Scan.Spaces(ref text, start, length, newlines: false);
    }
}

/// <summary>cl100k_base of tiktoken, and Llama 3: at most three digits to a piece.</summary>
internal readonly struct Cl100kPattern : IPiecePattern
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int End(ref byte text, int start, int length) => Scan.Cl100k(ref text, start, length, digits: 3);
}

/// <summary>Qwen2: cl100k_base with every digit a piece of its own.</summary>
internal readonly struct Qwen2Pattern : IPiecePattern
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int End(ref byte text, int start, int length) => Scan.Cl100k(ref text, start, length, digits: 1);
}

/// <summary>o200k_base of tiktoken: words are cut where case changes.</summary>
internal readonly struct O200kPattern : IPiecePattern
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int End(ref byte text, int start, int length) => Scan.O200k(ref text, start, length, digits: 3, contractions: true);
}

/// <summary>Tekken of Mistral: o200k_base with every digit a piece of its own, and no contractions.</summary>
internal readonly struct TekkenPattern : IPiecePattern
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int End(ref byte text, int start, int length) => Scan.O200k(ref text, start, length, digits: 1, contractions: false);
}

/// <summary>
/// DeepSeek V3: up to three digits, then kana and Han by themselves, then words and the like in what is between. What matches nothing there (controls, what is
/// unassigned) is a piece too.
/// </summary>
internal readonly struct DeepSeekV3Pattern : IPiecePattern
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int End(ref byte text, int start, int length) => Scan.DeepSeekV3(ref text, start, length);
}

/// <summary>What the patterns are made of.</summary>
internal static class Scan
{
    private const byte WordHead = UnicodeClasses.Upper | UnicodeClasses.Caseless | UnicodeClasses.Mark;
    private const byte LetterOrMark = UnicodeClasses.Letter | UnicodeClasses.Mark;
    private const byte WordTail = UnicodeClasses.Lower | UnicodeClasses.Caseless | UnicodeClasses.Mark;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Cl100k(ref byte text, int start, int length, int digits)
    {
        var first = Unsafe.Add(ref text, start);
        if (first == '\'' && Contraction(ref text, start, length) is var contraction && contraction > start) { return contraction; }

        var kind = UnicodeClasses.At(ref text, start, out var size);
        if ((kind & UnicodeClasses.Letter) != 0) { return Letters(ref text, start + size, length); }

        if (kind == UnicodeClasses.Number) { return Numbers(ref text, start + size, length, digits - 1); }

        var next = start + size;
        if (next < length)
        {
            var nextKind = UnicodeClasses.At(ref text, next, out var nextSize);
            if ((nextKind & UnicodeClasses.Letter) != 0)
            {
                if (first is not ((byte)'\r' or (byte)'\n')) { return Letters(ref text, next + nextSize, length); }
            }
            else if (kind != UnicodeClasses.Space || (first == ' ' && (nextKind & (UnicodeClasses.Number | UnicodeClasses.Space)) == 0))
            {
                return LineBreaks(ref text, Others(ref text, next, length), length, slash: false);
            }
        }
        else if (kind != UnicodeClasses.Space) { return next; }

        return Spaces(ref text, start, length, newlines: true);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int O200k(ref byte text, int start, int length, int digits, bool contractions)
    {
        var first = Unsafe.Add(ref text, start);
        var kind = UnicodeClasses.At(ref text, start, out var size);
        var next = start + size;
        int end;
        if ((kind & UnicodeClasses.Letter) != 0) { end = Word(ref text, start, length); }
        else if (kind == UnicodeClasses.Number) { return Numbers(ref text, next, length, digits - 1); }
        else if (first is (byte)'\r' or (byte)'\n') { return Spaces(ref text, start, length, newlines: true); }
        else
        {
            end = Word(ref text, next, length);
            if ((kind & UnicodeClasses.Mark) != 0)
            {
                // The mark may also be the word itself, which is tried before a word of capitals alone.
                if (end <= next || !HasTail(ref text, next, end)) { end = next; }
            }
            else if (end == next) { end = start; }
        }

        if (end > start) { return contractions && end < length && Unsafe.Add(ref text, end) == '\'' ? Contraction(ref text, end, length) : end; }

        if (kind != UnicodeClasses.Space || (first == ' ' && next < length && (UnicodeClasses.At(ref text, next, out _) & (UnicodeClasses.Letter | UnicodeClasses.Number | UnicodeClasses.Space)) == 0))
        {
            return LineBreaks(ref text, Others(ref text, next, length), length, slash: true);
        }

        return Spaces(ref text, start, length, newlines: true);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int DeepSeekV3(ref byte text, int start, int length)
    {
        var kind = UnicodeClasses.At(ref text, start, out var size);
        var next = start + size;
        if ((kind & LetterOrMark) == 0)
        {
            if (kind == UnicodeClasses.Number) { return Numbers(ref text, next, length, most: 2); }

            // Numbers, and kana and Han beside others, are cut off first: the rest does not see over there, as over the text's end.
            var first = Unsafe.Add(ref text, start);
            var nextKind = UnicodeClasses.Number;
            var nextSize = 0;
            if (next < length) { nextKind = UnicodeClasses.At(ref text, next, out nextSize); }

            if (((kind ^ nextKind) & UnicodeClasses.KanaOrHan) != 0) { nextKind = UnicodeClasses.Number; }

            if ((kind & UnicodeClasses.PunctuationOrSymbol) != 0)
            {
                return first < 0x80 && nextSize == 1 && (nextKind & UnicodeClasses.Letter) != 0
                    ? AsciiLetters(ref text, next, length, caseBit: 0x20)
                    : Punctuation(ref text, next, length, kind);
            }

            if (kind != UnicodeClasses.Space) { return Unmatched(ref text, start, length, kind); }

            if ((nextKind & LetterOrMark) == 0 || first is (byte)'\r' or (byte)'\n')
            {
                return first == ' ' && (nextKind & UnicodeClasses.PunctuationOrSymbol) != 0
                    ? Punctuation(ref text, next + nextSize, length, kind)
                    : Spaces(ref text, start, length, newlines: true, UnicodeClasses.Number | UnicodeClasses.KanaOrHan);
            }

            next += nextSize;
        }

        return LettersAndMarks(ref text, next, length, kind);
    }

    /// <summary>[\p{L}\p{M}]*, of kana and Han or of others, as <paramref name="side"/> is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int LettersAndMarks(ref byte text, int at, int length, byte side)
    {
        return (side & UnicodeClasses.KanaOrHan) == 0
            ? Letters(ref text, at, length, LetterOrMark, UnicodeClasses.KanaOrHan, UnicodeClasses.LettersAndMarks)
            : KanaOrHanLetters(ref text, at, length);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int KanaOrHanLetters(ref byte text, int at, int length)
    {
        while (at < length && UnicodeClasses.At(ref text, at, out var size) is var kind && (kind & LetterOrMark) != 0 && (kind & UnicodeClasses.KanaOrHan) != 0) { at += size; }

        return at;
    }

    /// <summary>[\p{P}\p{S}]*[\r\n]*, of kana and Han, where no line break is, or of others.</summary>
    private static int Punctuation(ref byte text, int at, int length, byte side)
    {
        side = (byte)((side & UnicodeClasses.KanaOrHan) | UnicodeClasses.PunctuationOrSymbol);
        while (at < length && UnicodeClasses.At(ref text, at, out var size) == side) { at += size; }

        return (side & UnicodeClasses.KanaOrHan) == 0 ? LineBreaks(ref text, at, length, slash: false) : at;
    }

    /// <summary>What is in no class begins a word that follows, else stays together.</summary>
    private static int Unmatched(ref byte text, int start, int length, byte side)
    {
        var last = start;
        var at = start;
        byte kind = 0;
        int size;
        for (; at < length && (kind = UnicodeClasses.At(ref text, at, out size)) == side; at += size) { last = at; }

        if (at == length || (kind & LetterOrMark) == 0 || ((kind ^ side) & UnicodeClasses.KanaOrHan) != 0) { return at; }

        return last > start ? last : LettersAndMarks(ref text, at, length, side);
    }

    /// <summary>
    /// [Lu Lt Lm Lo M]*[Ll Lm Lo M]+, and where that does not match [Lu Lt Lm Lo M]+[Ll Lm Lo M]*: where it ends; <paramref name="start"/> if neither matches.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Word(ref byte text, int start, int length)
    {
        var at = start;
        var lastTail = -1;
        while (at < length)
        {
            var kind = UnicodeClasses.At(ref text, at, out var size);
            if ((kind & WordHead) == 0)
            {
                if (kind == UnicodeClasses.Lower) { return Tail(ref text, at + size, length); }

                break;
            }

            at += size;
            if (kind != UnicodeClasses.Upper) { lastTail = at; }
        }

        // The head gives back what it took until one character is left that may stand in the tail.
        return lastTail > 0 ? lastTail : at;
    }

    /// <summary>Whether a word that <see cref="Word"/> found has a character of the tail: its last one then is one.</summary>
    private static bool HasTail(ref byte text, int start, int end)
    {
        var last = end - 1;
        while (last > start && (Unsafe.Add(ref text, last) & 0xC0) == 0x80) { last--; }

        return (UnicodeClasses.At(ref text, last, out _) & WordTail) != 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Tail(ref byte text, int at, int length)
    {
        while (true)
        {
            at = AsciiLetters(ref text, at, length, caseBit: 0);
            if (at >= length || Unsafe.Add(ref text, at) < 0x80) { return at; }

            do
            {
                if ((UnicodeClasses.At(ref text, at, out var size) & WordTail) == 0) { return at; }

                at += size;
            }
            while (at < length && Unsafe.Add(ref text, at) >= 0x80);
        }
    }

    /// <summary>\p{L}*</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Letters(ref byte text, int at, int length) => Letters(ref text, at, length, UnicodeClasses.Letter, others: 0, UnicodeClasses.Letters);

    /// <summary>As many characters as there are of <paramref name="kinds"/>, A to Z among them, that are not of <paramref name="others"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Letters(ref byte text, int at, int length, byte kinds, byte others, in LeadBytes leads)
    {
        while (true)
        {
            if (at < length && Unsafe.Add(ref text, at) < 0x80) { at = AsciiLetters(ref text, at, length, caseBit: 0x20); }

            if (at >= length || Unsafe.Add(ref text, at) < 0x80) { return at; }

            do
            {
                var kind = UnicodeClasses.At(ref text, at, out var size);
                if ((kind & kinds) == 0 || (kind & others) != 0) { return at; }

                at += size;

                // Alphabets of two bytes, and A to Z among them: other ASCII ends the word.
                if (size == 2)
                {
                    at = LettersByLead(ref text, at, length, leads);
                    if (at >= length || Unsafe.Add(ref text, at) < 0x80) { return at; }
                }
            }
            while (at < length && Unsafe.Add(ref text, at) >= 0x80);
        }
    }

    /// <summary>[A-Za-z]*, and characters of two bytes that are told by the first; in the last bytes of a text not all of those.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int LettersByLead(ref byte text, int at, int length, in LeadBytes leads)
    {
        var start = at;
        for (; at + Vector256<byte>.Count <= length; at += Vector256<byte>.Count)
        {
            var bytes = Vector256.LoadUnsafe(ref text, (nuint)at);
            var fromA = (bytes | Vector256.Create((byte)0x20)) - Vector256.Create((byte)'a');
            var others = (Vector256.GreaterThan(fromA, Vector256.Create((byte)25)) & Vector256.Equals(leads.In(bytes), Vector256<byte>.Zero)).ExtractMostSignificantBits();
            if (others != 0) { return at + System.Numerics.BitOperations.TrailingZeroCount(others); }
        }

        while (at > start && at < length && (Unsafe.Add(ref text, at) & 0xC0) == 0x80) { at--; }

        while (at < length && (uint)((Unsafe.Add(ref text, at) | 0x20) - 'a') <= 25) { at++; }

        return at;
    }

    /// <summary>[a-z]*, or [A-Za-z]* where <paramref name="caseBit"/> is 0x20.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int AsciiLetters(ref byte text, int at, int length, byte caseBit)
    {
        while (at + Vector256<byte>.Count <= length)
        {
            var fromA = (Vector256.LoadUnsafe(ref text, (nuint)at) | Vector256.Create(caseBit)) - Vector256.Create((byte)'a');
            var others = Vector256.GreaterThan(fromA, Vector256.Create((byte)25)).ExtractMostSignificantBits();
            if (others != 0) { return at + System.Numerics.BitOperations.TrailingZeroCount(others); }

            at += Vector256<byte>.Count;
        }

        while (at < length && (uint)((Unsafe.Add(ref text, at) | caseBit) - 'a') <= 25) { at++; }

        return at;
    }

    /// <summary>Up to <paramref name="most"/> more of \p{N}.</summary>
    private static int Numbers(ref byte text, int at, int length, int most)
    {
        for (; most > 0 && at < length && UnicodeClasses.At(ref text, at, out var size) == UnicodeClasses.Number; most--) { at += size; }

        return at;
    }

    /// <summary>As many characters of the class as there are.</summary>
    public static int Run(ref byte text, int at, int length, byte kinds)
    {
        while (at < length && (UnicodeClasses.At(ref text, at, out var size) & kinds) != 0) { at += size; }

        return at;
    }

    /// <summary>[^\s\p{L}\p{N}]*</summary>
    public static int Others(ref byte text, int at, int length)
    {
        while (at < length && (UnicodeClasses.At(ref text, at, out var size) & (UnicodeClasses.Letter | UnicodeClasses.Number | UnicodeClasses.Space)) == 0) { at += size; }

        return at;
    }

    private static int LineBreaks(ref byte text, int at, int length, bool slash)
    {
        while (at < length && (Unsafe.Add(ref text, at) is (byte)'\r' or (byte)'\n' || (slash && Unsafe.Add(ref text, at) == '/'))) { at++; }

        return at;
    }

    /// <summary>\s*[\r\n]+ where <paramref name="newlines"/>, then \s+(?!\S)|\s+: <paramref name="start"/> is white space.</summary>
    /// <param name="apart">Classes that count as the text's end.</param>
    public static int Spaces(ref byte text, int start, int length, bool newlines, byte apart = 0)
    {
        var at = start;
        var last = start;
        var lastBreak = -1;
        byte kind = 0;
        while (at < length && (kind = UnicodeClasses.At(ref text, at, out var size)) == UnicodeClasses.Space)
        {
            last = at;
            at += size;
            if (newlines && Unsafe.Add(ref text, last) is (byte)'\r' or (byte)'\n') { lastBreak = at; }
        }

        if (lastBreak > 0) { return lastBreak; }

        // The last one belongs to what follows, unless there is no other.
        return at == length || last == start || (kind & apart) != 0 ? at : last;
    }

    /// <summary>'s 't 're 've 'm 'll 'd in lower case: where it ends, or <paramref name="start"/>.</summary>
    public static int LowerContraction(ref byte text, int start, int length)
    {
        var rest = MemoryMarshal.CreateReadOnlySpan(ref Unsafe.Add(ref text, start + 1), Math.Min(2, length - start - 1));
        if (rest.Length == 0) { return start; }

        if (rest[0] is (byte)'s' or (byte)'t' or (byte)'m' or (byte)'d') { return start + 2; }

        return rest.SequenceEqual("re"u8) || rest.SequenceEqual("ve"u8) || rest.SequenceEqual("ll"u8) ? start + 3 : start;
    }

    /// <summary>The same in any case. U+017F is a small s too (Unicode's simple case folding); the other letters have no third form.</summary>
    private static int Contraction(ref byte text, int start, int length)
    {
        if (length - start < 2) { return start; }

        var first = Unsafe.Add(ref text, start + 1) | 0x20;
        if (first is 's' or 't' or 'm' or 'd') { return start + 2; }

        if (length - start < 3) { return start; }

        var second = Unsafe.Add(ref text, start + 2);
        if ((first is 'r' or 'v' && (second | 0x20) == 'e') || (first == 'l' && (second | 0x20) == 'l')) { return start + 3; }

        return Unsafe.Add(ref text, start + 1) == 0xC5 && second == 0xBF ? start + 3 : start;
    }
}
