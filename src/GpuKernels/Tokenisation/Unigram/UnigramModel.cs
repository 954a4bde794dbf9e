using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>The Unigram model of a tokenizer.json, as XLM-R, multilingual E5 and T5 have it: of all ways to split a piece the one with the highest sum of scores.</summary>
/// <seealso href="https://arxiv.org/abs/1808.06226">SentencePiece</seealso>
internal sealed class UnigramModel : ITokenModel
{
    /// <summary>Real scores are logarithms, some tens. The sum of as many of these as a text may have characters is finite still.</summary>
    private const double MaximalScore = 1e100;

    /// <summary>How much less than the least score a character without a piece scores.</summary>
    private const double UnknownPenalty = 10;

    private readonly byte[][] pieces;

    private UnigramModel(byte[][] pieces, double[] scores, int unknown, bool byteFallback)
    {
        this.pieces = pieces;
        Unknown = unknown;
        var least = double.PositiveInfinity;
        foreach (var score in scores) { least = score < least ? score : least; }

        Trie = new(pieces, scores, unknown, least - UnknownPenalty);
        if (!byteFallback) { return; }

        var ids = new int[256];
        for (var value = 0; value < ids.Length; value++) { ids[value] = Trie.TryGetId(Encoding.ASCII.GetBytes($"<0x{value:X2}>"), out var id) ? id : PieceTrie.None; }

        ByteIds = ids;
    }

    public int Count => pieces.Length;

    public int IdLimit => pieces.Length;

    public PieceTrie Trie { get; }

    public int Unknown { get; }

    /// <summary>The pieces &lt;0x00&gt; to &lt;0xFF&gt;, <see cref="PieceTrie.None"/> for those that are not there; null: characters do not fall back to their bytes.</summary>
    public int[]? ByteIds { get; }

    /// <exception cref="TokeniserFileException">The file asks for what is not supported.</exception>
    public static UnigramModel Read(StageOptions model)
    {
        model.Knows("unk_id", "vocab", "byte_fallback");
        var vocab = model.Member("vocab");
        var count = vocab.Element.ValueKind == JsonValueKind.Array ? vocab.Element.GetArrayLength() : throw StageOptions.Wrong(vocab.Place, "must be a list of pieces and scores");
        if (count > Vocabulary.MaximalTokens) { throw StageOptions.Wrong(vocab.Place, $"has {count} pieces; the limit is {Vocabulary.MaximalTokens}"); }

        var pieces = new byte[count][];
        var scores = new double[count];
        foreach (var (i, item) in model.Items("vocab").Index())
        {
            if (item.Element.ValueKind != JsonValueKind.Array || item.Element.GetArrayLength() != 2) { throw StageOptions.Wrong(item.Place, "must be a piece and its score"); }

            pieces[i] = Encoding.UTF8.GetBytes(new StageOptions(item.Place, item.Element[0]).AsText());
            if (pieces[i].Length > Vocabulary.MaximalTokenBytes) { throw StageOptions.Wrong(item.Place, $"has a piece of {pieces[i].Length} bytes; the limit is {Vocabulary.MaximalTokenBytes}"); }

            if (item.Element[1].ValueKind != JsonValueKind.Number || !ScoreNumber.TryRead(JsonMarshal.GetRawUtf8Value(item.Element[1]), out scores[i]) || Math.Abs(scores[i]) > MaximalScore)
            {
                throw StageOptions.Wrong(item.Place, $"must have a score that is a number of at most {MaximalScore}, plus or minus");
            }
        }

        var unknown = model.Member("unk_id");
        if (unknown.IsNull) { throw StageOptions.Wrong(unknown.Place, "is null; without it some texts could not be tokenised, which is not supported"); }

        return unknown.AsNumber() < count ? new(pieces, scores, unknown.AsNumber(), model.Flag("byte_fallback", false)) : throw StageOptions.Wrong(unknown.Place, "is not the id of a piece");
    }

    public bool TryGetId(ReadOnlySpan<byte> token, out int id) => Trie.TryGetId(token, out id);

    public bool TryGetToken(int id, out ReadOnlySpan<byte> token)
    {
        token = (uint)id < (uint)pieces.Length ? pieces[id] : default;
        return (uint)id < (uint)pieces.Length;
    }

    public IPieceTokeniser NewPieceTokeniser() => new UnigramTokeniser(this);
}
