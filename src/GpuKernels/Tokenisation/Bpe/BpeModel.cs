using System.Text;
using System.Text.Json;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>The BPE model of a tokenizer.json: over bytes where ByteLevel comes before it, else over characters (as SentencePiece's files have it).</summary>
internal sealed class BpeModel : ITokenModel
{
    private readonly Vocabulary vocabulary;
    private readonly Func<IPieceTokeniser> newTokeniser;

    private BpeModel(Vocabulary vocabulary, BytePairVocabulary? bytes, CertainCuts? cuts, Func<IPieceTokeniser> newTokeniser) =>
        (this.vocabulary, Bytes, Cuts, this.newTokeniser) = (vocabulary, bytes, cuts, newTokeniser);

    public int Count => vocabulary.Count;

    public int IdLimit => vocabulary.IdLimit;

    /// <summary>What byte-level BPE works with; null where pieces are not merged from plain bytes.</summary>
    public BytePairVocabulary? Bytes { get; }

    /// <summary>Where long pieces of characters may be cut; null where they may not, and where bytes are merged.</summary>
    public CertainCuts? Cuts { get; }

    /// <exception cref="TokeniserFileException">The file asks for what is not supported.</exception>
    public static BpeModel Read(StageOptions model, StageOptions file)
    {
        model.Knows("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges");
        if (!model.Member("dropout").IsNull) { throw StageOptions.Wrong($"{model.Place}.dropout", "is not null; merges that are left out at random are for training only"); }

        var vocabulary = Vocabulary.Read(model.Member("vocab"));
        if (vocabulary.IdLimit - 1 > MergeTable.MaximalId) { throw StageOptions.Wrong($"{model.Place}.vocab", $"has the id {vocabulary.IdLimit - 1}; the limit is {MergeTable.MaximalId}"); }

        var taken = new HashSet<int>();
        foreach (var (spelling, id) in vocabulary.Entries)
        {
            if (!taken.Add(id)) { throw StageOptions.Wrong($"{model.Place}.vocab", $"gives the id {id} to '{Encoding.UTF8.GetString(spelling)}' and to another token"); }
        }

        var prefix = Encoding.UTF8.GetBytes(model.TextOrNull("continuing_subword_prefix") ?? "");
        var suffix = Encoding.UTF8.GetBytes(model.TextOrNull("end_of_word_suffix") ?? "");
        var options = new BpeOptions(
            vocabulary,
            ReadMerges(model, vocabulary, prefix.Length),
            prefix,
            suffix,
            model.TextOrNull("unk_token") is { } unknown ? Encoding.UTF8.GetBytes(unknown) : null,
            model.Flag("fuse_unk", false),
            model.Flag("byte_fallback", false),
            model.Flag("ignore_merges", false),
            ByteLevel.IsReadBy(model, file));

        if (PlainBytes(options) is { } bytes) { return new(vocabulary, bytes, cuts: null, () => new BytePairEncoder(bytes)); }

        if (options.ByteLevel && options.ByteFallback) { throw StageOptions.Wrong($"{model.Place}.byte_fallback", "is true with ByteLevel and a vocabulary without some bytes, which is not supported"); }

        if (options.Unknown is { } token && !vocabulary.TryGetId(token, out _)) { throw StageOptions.Wrong($"{model.Place}.unk_token", $"'{Encoding.UTF8.GetString(token)}' is not in the vocabulary"); }

        var cuts = CertainCuts.TryMake(options, options.ByteFallback && Array.TrueForAll(CharacterPairTokeniser.BytesOf(vocabulary), id => id >= 0));
        var splits = cuts is null ? null : TokenSplits.Find(cuts.Characters, options.Merges);
        return new(vocabulary, null, cuts, () => new CharacterPairTokeniser(options, cuts, splits));
    }

    public bool TryGetId(ReadOnlySpan<byte> token, out int id) => vocabulary.TryGetId(token, out id);

    public bool TryGetToken(int id, out ReadOnlySpan<byte> token) => vocabulary.TryGetToken(id, out token);

    public IPieceTokeniser NewPieceTokeniser() => newTokeniser();

    private static MergeTable ReadMerges(StageOptions model, Vocabulary vocabulary, int prefixLength)
    {
        // Files of the first years have the first line of merges.txt among the merges.
        var merges = model.Items("merges").Where(merge => merge.Element.ValueKind != JsonValueKind.String || !merge.AsText().StartsWith("#version", StringComparison.Ordinal)).ToList();
        if (merges.Count > MergeTable.MaximalMerges) { throw StageOptions.Wrong($"{model.Place}.merges", $"has {merges.Count} merges; the limit is {MergeTable.MaximalMerges}"); }

        var table = new MergeTable(merges.Count);
        for (var rank = 0; rank < merges.Count; rank++)
        {
            var merge = merges[rank];
            var (left, right) = Pair(merge);
            if (right.Length <= prefixLength) { throw StageOptions.Wrong(merge.Place, "has a second part that is no longer than continuing_subword_prefix"); }

            byte[] both = [.. left, .. right.AsSpan(prefixLength)];
            table.Add(Id(left, merge, vocabulary), Id(right, merge, vocabulary), rank, Id(both, merge, vocabulary));
        }

        return table;
    }

    /// <summary>"left right", or since version 0.20 of the format ["left", "right"].</summary>
    private static (byte[] Left, byte[] Right) Pair(StageOptions merge)
    {
        string[] parts = merge.Element.ValueKind == JsonValueKind.Array
            ? [.. merge.Element.EnumerateArray().Select(part => new StageOptions(merge.Place, part).AsText())]
            : merge.AsText().Split(' ');
        return parts.Length == 2 ? (Encoding.UTF8.GetBytes(parts[0]), Encoding.UTF8.GetBytes(parts[1])) : throw StageOptions.Wrong(merge.Place, "is not two tokens");
    }

    private static int Id(byte[] token, StageOptions merge, Vocabulary vocabulary) => vocabulary.TryGetId(token, out var id)
        ? id
        : throw StageOptions.Wrong(merge.Place, $"is of the token '{Encoding.UTF8.GetString(token)}', which the vocabulary does not have");

    /// <summary>null where a byte has no token, or tokens depend on their place in the word: those go the long way.</summary>
    private static BytePairVocabulary? PlainBytes(BpeOptions options)
    {
        if (!options.ByteLevel || options.Prefix.Length > 0 || options.Suffix.Length > 0) { return null; }

        var byteIds = new int[256];
        for (var value = 0; value < byteIds.Length; value++)
        {
            if (!options.Vocabulary.TryGetId(ByteLevel.Spelled([(byte)value]), out byteIds[value])) { return null; }
        }

        PieceTable? whole = null;
        if (options.IgnoreMerges)
        {
            var tokens = new byte[]?[options.Vocabulary.IdLimit];
            foreach (var (token, id) in options.Vocabulary.Entries) { tokens[id] = ByteLevel.Read(token); }

            whole = new PieceTable(tokens);
        }

        return BytePairVocabulary.Make(byteIds, options.Merges, whole);
    }
}

/// <param name="Prefix">Before every character of a piece but the first, when it is looked up; may be empty.</param>
/// <param name="Suffix">After the last character of a piece.</param>
/// <param name="Unknown">What a character without a token becomes; null: nothing.</param>
/// <param name="FuseUnknown">Whether unknown characters that stand together are one token.</param>
/// <param name="ByteFallback">Whether a character without a token becomes the tokens &lt;0x00&gt; to &lt;0xFF&gt; of its bytes, where all of them exist.</param>
/// <param name="IgnoreMerges">Whether a piece that is a token is that token, whatever the merges say.</param>
/// <param name="ByteLevel">Whether pieces are plain bytes, and the vocabulary spells them as in GPT-2's spelling.</param>
internal sealed record BpeOptions(
    Vocabulary Vocabulary,
    MergeTable Merges,
    byte[] Prefix,
    byte[] Suffix,
    byte[]? Unknown,
    bool FuseUnknown,
    bool ByteFallback,
    bool IgnoreMerges,
    bool ByteLevel);
