using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Platform.GpuKernels.Tokenisation.PreTokenisers;

namespace Platform.GpuKernels.Tokenisation.WordPiece;

/// <summary>
/// BERT's normaliser and pre-tokeniser with WordPiece in one pass over the text. A part of some thousand bytes at a time is normalised, ASCII by vectors of 32,
/// other characters by a table; beside each byte stands whether it is part of a word, a piece of its own, or neither. Words are then cut out by bit masks and
/// looked up in a cache of words met before; a word that is not there is cut into tokens, and remembered.
/// </summary>
internal sealed class FusedWordPiece : IPieceTokeniser
{
    /// <summary>A part of the text stays in the first-level cache, normalised three times as long at the most.</summary>
    private const int PartBytes = 8 * 1024;

    /// <summary>What vector reads and writes may touch behind the normalised text.</summary>
    private const int Slack = 128;

    /// <summary>After so many ASCII bytes in a row the vectors are tried again.</summary>
    private const int AsciiRun = 8;

    /// <summary>So many words are looked up together.</summary>
    private const int Ahead = 32;

    /// <summary>What stands beside a byte: part of a word, the first of a piece of its own, the last of one.</summary>
    private const byte InWord = 1;
    private const byte First = 2;
    private const byte Last = 4;

    private readonly WordPieceModel model;
    private readonly FusedCharacters characters;
    private readonly IReadOnlyList<INormaliser> normalisers;
    private readonly IPieceTokeniser longestMatch;
    private readonly WordCache cache = new();
    private readonly TokenSink ofWord = new();
    private readonly byte caseBit;
    private readonly WorkingText working = new();
    private readonly BertPreTokeniser preTokeniser = new();
    private byte[] normalised = [];
    private byte[] classes = [];
    private int[] starts = [];
    private int[] ends = [];

    private FusedWordPiece(WordPieceModel model, FusedCharacters characters, IReadOnlyList<INormaliser> normalisers)
    {
        (this.model, this.characters, this.normalisers) = (model, characters, normalisers);
        caseBit = characters.Lowers ? (byte)0x20 : (byte)0;
        longestMatch = model.NewPieceTokeniser();
    }

    /// <summary>Where the stages are such as this does; null where they are not.</summary>
    public static Func<IPieceTokeniser>? For(ITokenModel model, IReadOnlyList<INormaliser> normalisers, IReadOnlyList<IPreTokeniser> preTokenisers) =>
        model is WordPieceModel wordPiece && preTokenisers is [BertPreTokeniser] && FusedCharacters.Of(normalisers) is { } characters
            ? () => new FusedWordPiece(wordPiece, characters, normalisers)
            : null;

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        while (!piece.IsEmpty)
        {
            var part = piece[..EndOfPart(piece)];
            piece = piece[part.Length..];
            if (TryNormalise(part, out var length)) { Cut(length, tokens); }
            else { Stages(part, tokens); }
        }
    }

    /// <summary>A part ends after a space, which no word goes across and no mark moves across; a text without one is one part.</summary>
    private static int EndOfPart(ReadOnlySpan<byte> text)
    {
        if (text.Length <= PartBytes) { return text.Length; }

        var last = text[..PartBytes].LastIndexOfAny(" \n"u8);
        if (last >= 0) { return last + 1; }

        var next = text[PartBytes..].IndexOfAny(" \n"u8);
        return next < 0 ? text.Length : PartBytes + next + 1;
    }

    private void Stages(ReadOnlySpan<byte> part, TokenSink tokens)
    {
        working.Begin(part, 0, aligned: false);
        foreach (var normaliser in normalisers) { working.Normalise(normaliser); }

        working.Split(preTokeniser);
        foreach (var piece in working.Pieces) { longestMatch.Tokenise(working.Bytes[piece.Start..piece.End], tokens); }
    }

    /// <summary>Fills <see cref="normalised"/> and <see cref="classes"/>; false where a character needs the stages.</summary>
    private bool TryNormalise(ReadOnlySpan<byte> text, out int length)
    {
        var room = checked((text.Length * FusedCharacters.Growth) + Slack);
        if (normalised.Length < room) { (normalised, classes) = (new byte[room], new byte[room]); }

        ref var to = ref MemoryMarshal.GetArrayDataReference(normalised);
        ref var toClass = ref MemoryMarshal.GetArrayDataReference(classes);
        ref var from = ref MemoryMarshal.GetReference(text);
        var lower = Vector256.Create(caseBit);
        length = 0;
        for (var at = 0; at < text.Length;)
        {
            // Every entry has at most three bytes for one of the text, and writes go at most 64 bytes further: they stay within the slack.
            while (at + Vector256<byte>.Count <= text.Length)
            {
                var bytes = Vector256.LoadUnsafe(ref from, (nuint)at);
                var letter = Vector256.LessThanOrEqual((bytes | Vector256.Create((byte)0x20)) - Vector256.Create((byte)'a'), Vector256.Create((byte)25));
                var digit = Vector256.LessThanOrEqual(bytes - Vector256.Create((byte)'0'), Vector256.Create((byte)9));
                var space = Vector256.Equals(bytes, Vector256.Create((byte)' ')) | Vector256.Equals(bytes, Vector256.Create((byte)'\n'))
                    | Vector256.Equals(bytes, Vector256.Create((byte)'\r')) | Vector256.Equals(bytes, Vector256.Create((byte)'\t'));
                var printable = Vector256.LessThan(bytes - Vector256.Create((byte)0x20), Vector256.Create((byte)(0x7F - 0x20)));
                var word = letter | digit;
                var plain = printable | space;
                var single = Vector256.AndNot(printable, word | space);
                (bytes | (letter & lower)).StoreUnsafe(ref to, (nuint)length);
                ((word & Vector256.Create(InWord)) | (single & Vector256.Create((byte)(First | Last)))).StoreUnsafe(ref toClass, (nuint)length);
                var count = BitOperations.TrailingZeroCount(~plain.ExtractMostSignificantBits());
                at += count;
                length += count;
                if (count < Vector256<byte>.Count) { break; }
            }

            for (var ascii = 0; at < text.Length && ascii < AsciiRun;)
            {
                var scalar = Utf8Text.ScalarAt(text, at, out var size);
                at += size;
                ascii = size == 1 ? ascii + 1 : 0;
                var entry = characters[scalar];
                var kind = FusedCharacters.KindOf(entry);
                if (kind >= FusedKind.Long)
                {
                    if (kind == FusedKind.Staged) { return false; }

                    var longText = characters.LongText(entry);
                    longText.CopyTo(normalised.AsSpan(length));
                    classes.AsSpan(length, longText.Length).Fill(InWord);
                    length += longText.Length;
                    continue;
                }

                var bytes = FusedCharacters.LengthOf(entry);
                Unsafe.WriteUnaligned(ref Unsafe.Add(ref to, length), entry);
                Unsafe.WriteUnaligned(ref Unsafe.Add(ref toClass, length), kind switch
                {
                    FusedKind.Word => 0x0101_0101_0101_0101UL * InWord,
                    FusedKind.Single => First | ((ulong)Last << (8 * (bytes - 1))),
                    _ => 0UL,
                });
                length += bytes;
            }
        }

        normalised.AsSpan(length, Slack / 2).Clear();
        classes.AsSpan(length, Slack / 2).Clear();
        return true;
    }

    /// <summary>Finds the pieces in the normalised text, and their tokens.</summary>
    private void Cut(int length, TokenSink tokens)
    {
        var pieces = Pieces(length);

        // Every byte can be a token at the most, and a write goes three further.
        ref var ids = ref MemoryMarshal.GetReference(tokens.Reserve(length + 8));
        ref var start = ref MemoryMarshal.GetArrayDataReference(starts);
        ref var end = ref MemoryMarshal.GetArrayDataReference(ends);
        ref var text = ref MemoryMarshal.GetArrayDataReference(normalised);
        Span<int> places = stackalloc int[Ahead];
        var count = 0;
        for (var first = 0; first < pieces; first += Ahead)
        {
            // The places in the cache are asked from memory for some words at once, so that it is not waited for word by word.
            var some = Math.Min(Ahead, pieces - first);
            for (var i = 0; i < some; i++)
            {
                var from = Unsafe.Add(ref start, first + i);
                places[i] = cache.Place(ref Unsafe.Add(ref text, from), Unsafe.Add(ref end, first + i) - from);
            }

            for (var i = 0; i < some; i++)
            {
                var from = Unsafe.Add(ref start, first + i);
                var size = Unsafe.Add(ref end, first + i) - from;
                var found = cache.TryFind(ref Unsafe.Add(ref text, from), size, places[i], ref Unsafe.Add(ref ids, count));
                count += found > 0 ? found : New(from, size, places[i], ref Unsafe.Add(ref ids, count));
            }
        }

        tokens.Advance(count);
    }

    /// <summary>Lists where each piece begins and ends: no two begin or end at one place, so the n-th beginning belongs to the n-th end.</summary>
    private int Pieces(int length)
    {
        if (starts.Length < normalised.Length) { (starts, ends) = (new int[normalised.Length], new int[normalised.Length]); }

        ref var classOf = ref MemoryMarshal.GetArrayDataReference(classes);
        var (begun, ended) = (0, 0);
        var (wordGoesOn, singleEnded) = (0UL, 0UL);
        for (var block = 0; block <= length; block += 64)
        {
            var low = Vector256.LoadUnsafe(ref classOf, (nuint)block);
            var high = Vector256.LoadUnsafe(ref classOf, (nuint)block + 32);
            var words = Bits(low, high, 7);
            var before = (words << 1) | wordGoesOn;
            var last = Bits(low, high, 5);
            begun = BitPlaces.List(starts, begun, block, (words & ~before) | Bits(low, high, 6));
            ended = BitPlaces.List(ends, ended, block, (before & ~words) | (last << 1) | singleEnded);
            (wordGoesOn, singleEnded) = (words >> 63, last >> 63);
        }

        return ended;
    }

    /// <summary>One bit of each byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Bits(Vector256<byte> low, Vector256<byte> high, int shift) =>
        (low.AsUInt16() << shift).AsByte().ExtractMostSignificantBits() | ((ulong)(high.AsUInt16() << shift).AsByte().ExtractMostSignificantBits() << 32);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int New(int start, int length, int place, ref int ids)
    {
        ofWord.Clear(wantsOffsets: false);
        longestMatch.Tokenise(normalised.AsSpan(start, length), ofWord);
        ofWord.Ids.CopyTo(MemoryMarshal.CreateSpan(ref ids, ofWord.Count));
        cache.Add(ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(normalised), start), length, place, ofWord.Ids);
        return ofWord.Count;
    }
}
