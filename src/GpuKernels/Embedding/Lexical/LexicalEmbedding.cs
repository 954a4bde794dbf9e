using System.Collections.Concurrent;
using System.Numerics;

namespace Platform.GpuKernels.Embedding.Lexical;

/// <summary>
/// A vector of a text made of its words and the pieces of its words, without any model: each feature is added to or taken from one
/// dimension that its hash chooses (feature hashing, Weinberger et al. 2009), weighted by how often it occurs and how rare it is. Texts are near
/// each other where they use the same or similar words, in any language and script; meaning is not seen. The same text, dimension and
/// statistics give the same vector everywhere. Safe for several threads.
/// </summary>
public sealed class LexicalEmbedding
{
    /// <summary>Changes with everything that changes a vector.</summary>
    public const string Name = "lexical-v1";

    public const int DefaultDimension = 1_024;
    public const int LeastDimension = 64;
    public const int MostDimension = 8_192;

    /// <summary>What all pieces of one length of a word weigh beside the word. Chosen on bench/embedding/retrieval.jsonl.</summary>
    private const float PieceWeight = 1.3f;

    /// <summary>What a text of more words needed is not kept for the next one.</summary>
    private const int KeptWords = 10_000;

    private readonly LexicalStatistics _statistics;
    private readonly ConcurrentBag<LexicalFeatures> _idle = [];

    /// <param name="dimension">A power of two from <see cref="LeastDimension"/> to <see cref="MostDimension"/>.</param>
    /// <param name="statistics">What the corpus says of rarity, as it is now; null: all words count the same.</param>
    public LexicalEmbedding(int dimension = DefaultDimension, LexicalStatistics? statistics = null)
    {
        if (dimension is < LeastDimension or > MostDimension || !BitOperations.IsPow2(dimension)) { throw new ArgumentOutOfRangeException(nameof(dimension), dimension, $"A power of two from {LeastDimension} to {MostDimension} is expected."); }

        Dimension = dimension;
        _statistics = statistics?.Copy() ?? new LexicalStatistics();
        Id = _statistics.Documents == 0 ? $"{Name}-{dimension}" : $"{Name}-{dimension}@{_statistics.Fingerprint()}";
    }

    public int Dimension { get; }

    /// <summary>Vectors of the same id can be compared.</summary>
    public string Id { get; }

    /// <param name="result">[Dimension], of Euclidean length 1; zeros where the text has no words.</param>
    /// <exception cref="ArgumentException">The text is longer than <see cref="TextLimits.TextBytes"/>.</exception>
    public void Embed(string text, Span<float> result)
    {
        Check(text);
        result = result[..Dimension];
        result.Clear();
        var features = _idle.TryTake(out var idle) ? idle : new LexicalFeatures();
        features.Read(text);
        foreach (var (feature, count) in features.Words) { Add(result, feature, 1 + MathF.Log(count)); }
        foreach (var (feature, share) in features.Pieces) { Add(result, feature, PieceWeight * MathF.Sqrt(share)); }

        if (features.Words.Count < KeptWords) { _idle.Add(features); }

        Pooling.Normalise(result);
    }

    internal static void Check(string text)
    {
        if (text.Length > TextLimits.TextBytes) { throw new ArgumentException($"The text has {text.Length} UTF-16 units; {TextLimits.TextBytes} are taken at most.", nameof(text)); }
    }

    private void Add(Span<float> result, ulong feature, float weight)
    {
        // The sign and the dimension come from bits that the statistics do not use for their places.
        var value = weight * _statistics.Rarity(feature);
        ref var to = ref result[(int)((feature >> 45) & (ulong)(Dimension - 1))];
        to += (feature >> 63) == 0 ? value : -value;
    }
}
