using System.Text;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>Part of a working text: a range of its bytes, where in the original text that began, and the added token that it is (-1: none, the model's turn).</summary>
internal record struct Piece(int Start, int End, int OriginalStart, int Token);

/// <summary>
/// A text on its way through the stages: its present bytes, the pieces that it is cut into and, where offsets are wanted, for every byte the range of the
/// original text that it stands for. The rules of alignment are those of Hugging Face's NormalizedString, so that offsets come out the same.
/// </summary>
internal sealed class WorkingText
{
    private readonly TextRewriter rewriter = new();
    private readonly PieceSink sink = new();
    private AlignedBytes current = new();
    private AlignedBytes next = new();
    private List<Piece> pieces = [];
    private List<Piece> nextPieces = [];

    public ReadOnlySpan<byte> Bytes => current.Bytes;

    public List<Piece> Pieces => pieces;

    /// <summary>How many bytes it holds without growing.</summary>
    public int Room => Math.Max(current.Room, next.Room);

    /// <summary>The range of the original text that a range of the present bytes, not empty, stands for.</summary>
    public (int Start, int End) Original(int start, int end) => (current.Starts[start], current.Ends[end - 1]);

    /// <summary>Begins with one piece, the whole of <paramref name="text"/>, which begins at <paramref name="originalStart"/> of the original text.</summary>
    public void Begin(ReadOnlySpan<byte> text, int originalStart, bool aligned)
    {
        current.Clear(aligned);
        current.AppendOriginal(text, originalStart);
        pieces.Clear();
        pieces.Add(new Piece(0, text.Length, originalStart, -1));
    }

    public void Normalise(INormaliser normaliser)
    {
        next.Clear(current.Aligned);
        for (var i = 0; i < pieces.Count; i++)
        {
            var piece = pieces[i];
            var start = next.Length;
            if (piece.Token >= 0) { next.AppendFrom(current, piece.Start, piece.End - piece.Start); }
            else
            {
                rewriter.Begin(current, piece, next);
                normaliser.Normalise(rewriter);
            }

            pieces[i] = piece with { Start = start, End = next.Length };
        }

        (current, next) = (next, current);
    }

    public void Split(IPreTokeniser preTokeniser)
    {
        if (preTokeniser.Rewriting is { } rewriting) { Normalise(rewriting); }

        nextPieces.Clear();
        foreach (var piece in pieces)
        {
            if (piece.Token >= 0)
            {
                nextPieces.Add(piece);
                continue;
            }

            sink.Begin(nextPieces, current, piece);
            preTokeniser.Split(current.Bytes[piece.Start..piece.End], sink);
        }

        (pieces, nextPieces) = (nextPieces, pieces);
    }

    /// <summary>Takes added tokens out of the pieces.</summary>
    public void Cut(TokenTree added)
    {
        nextPieces.Clear();
        foreach (var piece in pieces)
        {
            if (piece.Token >= 0)
            {
                nextPieces.Add(piece);
                continue;
            }

            sink.Begin(nextPieces, current, piece);
            var text = current.Bytes[piece.Start..piece.End];
            var (from, done) = (0, 0);
            while (added.TryFind(text, from, done, out var match))
            {
                sink.Add(done, match.Start);
                sink.AddToken(match.Start, match.End, match.Token.Id);
                (from, done) = (match.Next, match.End);
            }

            sink.Add(done, text.Length);
        }

        (pieces, nextPieces) = (nextPieces, pieces);
    }
}

/// <summary>Takes the parts that a piece is split into.</summary>
internal sealed class PieceSink
{
    private List<Piece> pieces = [];
    private AlignedBytes text = new();
    private Piece whole;

    internal void Begin(List<Piece> into, AlignedBytes of, Piece piece) => (pieces, text, whole) = (into, of, piece);

    /// <summary>Adds a range of the piece; an empty one is dropped.</summary>
    public void Add(int start, int end) => AddToken(start, end, -1);

    /// <summary>Adds a range of the piece that is the token <paramref name="id"/> already.</summary>
    public void AddToken(int start, int end, int id)
    {
        if (start >= end) { return; }

        var from = whole.Start + start;
        pieces.Add(new Piece(from, whole.Start + end, text.Aligned ? text.Starts[from] : whole.OriginalStart + start, id));
    }
}

/// <summary>Reads a piece from its first character to its last and writes what it becomes, keeping the alignment.</summary>
internal sealed class TextRewriter
{
    private AlignedBytes from = new();
    private AlignedBytes to = new();
    private Piece piece;
    private int cursor;

    /// <summary>The piece to be rewritten, valid UTF-8.</summary>
    public ReadOnlySpan<byte> Source => from.Bytes[piece.Start..piece.End];

    /// <summary>How many bytes of the source are behind.</summary>
    public int Cursor => cursor - piece.Start;

    /// <summary>Where in the original text the piece began; only for those who say <see cref="IPreTokeniser.NeedsOriginalStart"/>.</summary>
    public int OriginalStart => piece.OriginalStart;

    internal void Begin(AlignedBytes source, Piece range, AlignedBytes into)
    {
        (from, piece, to) = (source, range, into);
        cursor = range.Start;
    }

    /// <summary>The next <paramref name="bytes"/> of the source stay.</summary>
    public void Keep(int bytes)
    {
        to.AppendFrom(from, cursor, bytes);
        cursor += bytes;
    }

    /// <summary>The next <paramref name="bytes"/> of the source go.</summary>
    public void Skip(int bytes) => cursor += bytes;

    /// <summary>Writes a character in the place of the next one of the source, which has <paramref name="replaced"/> bytes.</summary>
    public void Put(Rune character, int replaced)
    {
        var (start, end) = from.RangeAt(Math.Min(cursor, piece.End - 1));
        to.Append(character, start, end);
        cursor += replaced;
    }

    /// <summary>
    /// Writes a character that came out of a transformation: with <paramref name="change"/> 1 it is inserted, with 0 it stands for the next character of the
    /// source, with -n for that one, and the n after it go.
    /// </summary>
    public void Change(uint character, int change)
    {
        var rune = new Rune(character);
        if (change > 0)
        {
            Insert(rune);
            return;
        }

        var end = cursor;
        for (var i = change; i <= 0 && end < piece.End; i++) { end += Utf8Text.SizeAt(from.Bytes, end); }

        Put(rune, end - cursor);
    }

    /// <summary>Writes a character that was not there; it is aligned as the one before.</summary>
    public void Insert(Rune character)
    {
        var (start, end) = cursor > piece.Start ? from.RangeAt(cursor - 1) : (piece.OriginalStart, piece.OriginalStart);
        to.Append(character, start, end);
    }
}

/// <summary>Bytes, each with the range of the original text that it stands for, where that is wanted.</summary>
internal sealed class AlignedBytes
{
    private byte[] bytes = new byte[256];
    private int[] starts = [];
    private int[] ends = [];

    public bool Aligned { get; private set; }

    public int Length { get; private set; }

    public int Room => bytes.Length;

    public ReadOnlySpan<byte> Bytes => bytes.AsSpan(0, Length);

    public ReadOnlySpan<int> Starts => starts.AsSpan(0, Aligned ? Length : 0);

    public ReadOnlySpan<int> Ends => ends.AsSpan(0, Aligned ? Length : 0);

    public void Clear(bool aligned)
    {
        Length = 0;
        Aligned = aligned;
        Reserve(0);
    }

    public (int Start, int End) RangeAt(int at) => Aligned && at >= 0 ? (starts[at], ends[at]) : default;

    /// <summary>Appends a part of the original text: every byte stands for the whole of its character.</summary>
    public void AppendOriginal(ReadOnlySpan<byte> text, int originalStart)
    {
        Reserve(text.Length);
        text.CopyTo(bytes.AsSpan(Length));
        if (Aligned)
        {
            for (var i = 0; i < text.Length;)
            {
                var size = Utf8Text.SizeAt(text, i);
                starts.AsSpan(Length + i, size).Fill(originalStart + i);
                ends.AsSpan(Length + i, size).Fill(originalStart + i + size);
                i += size;
            }
        }

        Length += text.Length;
    }

    public void AppendFrom(AlignedBytes other, int start, int count)
    {
        Reserve(count);
        other.bytes.AsSpan(start, count).CopyTo(bytes.AsSpan(Length));
        if (Aligned)
        {
            other.starts.AsSpan(start, count).CopyTo(starts.AsSpan(Length));
            other.ends.AsSpan(start, count).CopyTo(ends.AsSpan(Length));
        }

        Length += count;
    }

    public void Append(Rune character, int start, int end)
    {
        Reserve(4);
        var size = character.EncodeToUtf8(bytes.AsSpan(Length));
        if (Aligned)
        {
            starts.AsSpan(Length, size).Fill(start);
            ends.AsSpan(Length, size).Fill(end);
        }

        Length += size;
    }

    private void Reserve(int more)
    {
        var needed = checked(Length + more);
        if (bytes.Length < needed) { Array.Resize(ref bytes, Math.Max(needed, bytes.Length * 2)); }

        if (Aligned && starts.Length < bytes.Length)
        {
            Array.Resize(ref starts, bytes.Length);
            Array.Resize(ref ends, bytes.Length);
        }
    }
}
