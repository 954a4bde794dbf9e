using System.Text;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>Turns texts into tokens with scratch of its own: one thread at a time.</summary>
internal sealed class TokeniserWorker(TokeniserPipeline pipeline)
{
    /// <summary>How much room is kept between texts, in tokens or bytes: a worker that saw one huge text does not hold its memory for ever.</summary>
    private const int KeptRoom = 4 * 1024 * 1024;

    private readonly IPieceTokeniser pieceTokeniser = pipeline.Model.NewPieceTokeniser();
    private readonly IPieceTokeniser? fused = pipeline.NewFused?.Invoke();
    private WorkingText working = new();
    private TokenSink ofPiece = new();
    private readonly List<int> wordEnds = [];

    /// <summary>The tokens of the last text; offsets are bytes of the text.</summary>
    public TokenSink Tokens { get; private set; } = new();

    /// <summary>For each piece of the last text, how many tokens there are up to its end; only where offsets were asked for.</summary>
    public IReadOnlyList<int> WordEnds => wordEnds;

    /// <summary>Tokenises a text.</summary>
    /// <param name="text">Valid UTF-8.</param>
    public void Tokenise(ReadOnlySpan<byte> text, bool offsets)
    {
        if (Math.Max(working.Room, Tokens.Room) > KeptRoom) { (working, ofPiece, Tokens) = (new(), new(), new()); }

        Tokens.Clear(offsets);
        wordEnds.Clear();
        Cut(text, pipeline.Added.Raw, offsets);
    }

    /// <summary>Takes added tokens out of a text.</summary>
    private void Cut(ReadOnlySpan<byte> text, TokenTree added, bool offsets)
    {
        var done = 0;
        if (added.MayMatch(text))
        {
            var from = 0;
            while (added.TryFind(text, from, done, out var match))
            {
                if (match.Start > done) { Segment(text[done..match.Start], added, done, offsets); }

                Tokens.Add(match.Token.Id, match.Start, match.End);
                if (offsets) { wordEnds.Add(Tokens.Count); }

                done = match.End;
                from = match.Next;
            }
        }

        Segment(text[done..], added, done, offsets);
    }

    /// <summary>A part of a text without the <paramref name="cut"/> added tokens: those that are sought in the text as it is, and perhaps the others.</summary>
    private void Segment(ReadOnlySpan<byte> segment, TokenTree cut, int originalStart, bool offsets)
    {
        if (segment.IsEmpty) { return; }

        if (fused is null || offsets) { Stages(segment, originalStart, offsets); }
        else if (cut == pipeline.Added.Raw && !pipeline.Added.Normalised.IsEmpty) { Cut(segment, pipeline.Added.Normalised, offsets); }
        else { fused.Tokenise(segment, Tokens); }
    }

    private void Stages(ReadOnlySpan<byte> segment, int originalStart, bool offsets)
    {
        working.Begin(segment, originalStart, offsets || pipeline.NeedsOriginalStart);
        foreach (var normaliser in pipeline.Normalisers) { working.Normalise(normaliser); }

        var added = pipeline.Added.Normalised;
        if (added.MayMatch(working.Bytes)) { working.Cut(added); }

        foreach (var preTokeniser in pipeline.PreTokenisers) { working.Split(preTokeniser); }

        foreach (var piece in working.Pieces)
        {
            if (piece.Start == piece.End) { continue; }

            if (piece.Token >= 0)
            {
                var (start, end) = offsets ? working.Original(piece.Start, piece.End) : default;
                Tokens.Add(piece.Token, start, end);
                if (offsets) { wordEnds.Add(Tokens.Count); }

                continue;
            }

            if (!offsets)
            {
                pieceTokeniser.Tokenise(working.Bytes[piece.Start..piece.End], Tokens);
                continue;
            }

            ofPiece.Clear(wantsOffsets: true);
            pieceTokeniser.Tokenise(working.Bytes[piece.Start..piece.End], ofPiece);
            for (var i = 0; i < ofPiece.Count; i++)
            {
                var (from, to) = (ofPiece.Starts[i], ofPiece.Ends[i]);
                var (start, end) = to > from ? working.Original(piece.Start + from, piece.Start + to) : (piece.OriginalStart + from, piece.OriginalStart + from);
                Tokens.Add(ofPiece.Ids[i], start, end);
            }

            wordEnds.Add(Tokens.Count);
        }
    }
}

/// <summary>What a tokenizer.json asks for between text and tokens.</summary>
internal sealed record TokeniserPipeline(
    ITokenModel Model,
    IReadOnlyList<INormaliser> Normalisers,
    IReadOnlyList<IPreTokeniser> PreTokenisers,
    AddedTokens Added,
    Func<IPieceTokeniser>? NewFused)
{
    public bool NeedsOriginalStart { get; } = PreTokenisers.Any(each => each.NeedsOriginalStart);
}

/// <summary>A text whose invalid bytes are replaced by U+FFFD, as Unicode and WHATWG's Encoding Standard recommend: one for each maximal part of a character.</summary>
internal sealed class RepairedText
{
    private readonly List<(int Repaired, int Original)> repairs = [];

    public RepairedText(ReadOnlySpan<byte> text)
    {
        var made = new List<byte>(text.Length + 16);
        for (var at = 0; at < text.Length;)
        {
            if (Rune.DecodeFromUtf8(text[at..], out _, out var size) == System.Buffers.OperationStatus.Done) { made.AddRange(text.Slice(at, size)); }
            else
            {
                made.AddRange("\uFFFD"u8);
                repairs.Add((made.Count, at + size));
            }

            at += size;
        }

        Bytes = [.. made];
    }

    public byte[] Bytes { get; }

    /// <summary>Where a place between two characters of the repaired text is in the original one.</summary>
    public int Original(int repaired)
    {
        var low = 0;
        for (var high = repairs.Count; low < high;)
        {
            var middle = (low + high) / 2;
            if (repairs[middle].Repaired <= repaired) { low = middle + 1; }
            else { high = middle; }
        }

        return low == 0 ? repaired : repairs[low - 1].Original + (repaired - repairs[low - 1].Repaired);
    }
}
