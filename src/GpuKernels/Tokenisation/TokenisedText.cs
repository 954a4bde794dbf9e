namespace Platform.GpuKernels.Tokenisation;

/// <summary>A text, or a pair of texts, as tokens: parallel lists, one entry for each token.</summary>
/// <param name="Ids">The tokens.</param>
/// <param name="TypeIds">Which text a token is of, as the model was taught: mostly 0, and 1 for the second of a pair.</param>
/// <param name="ByteOffsets">The range of the original UTF-8 that a token stands for; (0, 0) where none.</param>
/// <param name="ScalarOffsets">The same in Unicode scalar values, as Hugging Face's tokenizers gives it.</param>
/// <param name="WordIds">Which piece of its text a token is of, counted from 0 as the pre-tokeniser cut them; -1 where none.</param>
/// <param name="SpecialMask">1 for a token that the post-processor or the padding added, else 0.</param>
/// <param name="AttentionMask">0 for padding, else 1.</param>
/// <param name="Overflow">What truncation cut off, in parts that overlap by the stride, each with its special tokens.</param>
public sealed record TokenisedText(
    int[] Ids,
    int[] TypeIds,
    (int Start, int End)[] ByteOffsets,
    (int Start, int End)[] ScalarOffsets,
    int[] WordIds,
    byte[] SpecialMask,
    byte[] AttentionMask,
    IReadOnlyList<TokenisedText> Overflow);

/// <summary>Which end of a text.</summary>
public enum Side
{
    Left,
    Right,
}

/// <summary>Which text of a pair is cut.</summary>
public enum TruncationStrategy
{
    /// <summary>The longer, until both are equally long, then both.</summary>
    LongestFirst,
    OnlyFirst,
    OnlySecond,
}

/// <summary>How long a text may be, special tokens included.</summary>
/// <param name="MaximalTokens">1 or more than the special tokens.</param>
/// <param name="Stride">By how many tokens the parts of the overflow overlap; less than what remains beside the special tokens.</param>
/// <param name="Side">Where it is cut.</param>
public sealed record Truncation(int MaximalTokens, TruncationStrategy Strategy = TruncationStrategy.LongestFirst, int Stride = 0, Side Side = Side.Right);

/// <summary>How short texts are filled up.</summary>
/// <param name="Length">In tokens; null: as long as the longest of the batch.</param>
/// <param name="MultipleOf">The length is rounded up to this; 0: not.</param>
public sealed record Padding(int? Length, int Id = 0, int TypeId = 0, Side Side = Side.Right, int MultipleOf = 0);

/// <summary>What is made of a text besides its own tokens.</summary>
/// <param name="AddSpecialTokens">Whether the post-processor adds its tokens ([CLS], [SEP]).</param>
/// <param name="Truncation">null: never cut.</param>
/// <param name="Padding">null: never filled up. Packed batches are never padded.</param>
public sealed record EncodeOptions(bool AddSpecialTokens = true, Truncation? Truncation = null, Padding? Padding = null);
