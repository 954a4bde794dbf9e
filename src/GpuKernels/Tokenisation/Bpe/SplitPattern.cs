using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>The regular expressions of pre-tokenisers that have a scanner here.</summary>
internal enum SplitPattern
{
    Gpt2,
    Cl100k,
    Qwen2,
    O200k,
    Tekken,
    DeepSeekV3,
}

internal static class SplitPatterns
{
    private const string Spaces = @"\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string AnyCase = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    private const string Head = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]";
    private const string Tail = @"[\p{Ll}\p{Lm}\p{Lo}\p{M}]";

    /// <summary>As files spell them, each by itself: tiktoken's openai_public.py, and the tokenizer.json of GPT-2, Llama 3, Qwen2, GPT-4o and Mistral's Tekken.</summary>
    private static readonly Dictionary<string, SplitPattern> Known = new(StringComparer.Ordinal)
    {
        [@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"] = SplitPattern.Gpt2,
        [AnyCase + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + Spaces] = SplitPattern.Cl100k,
        [AnyCase + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + Spaces] = SplitPattern.Qwen2,
        [$"{Head}*{Tail}+{AnyCase}?|{Head}+{Tail}*{AnyCase}?" + @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + Spaces] = SplitPattern.O200k,
        [$"{Head}*{Tail}+|{Head}+{Tail}*" + @"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + Spaces] = SplitPattern.Tekken,
    };

    /// <summary>What DeepSeek V3's tokenizer.json splits at, one after the other. It has the carriage return and the line feed themselves in its classes, not their escapes.</summary>
    public static IReadOnlyList<string> DeepSeekV3 { get; } =
    [
        @"\p{N}{1,3}",
        "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    ];

    public static IEnumerable<string> Supported => Known.Keys;

    public static bool TryRecognise(string regex, out SplitPattern pattern) => Known.TryGetValue(regex, out pattern);

    /// <param name="text">Valid UTF-8.</param>
    public static int Count(this SplitPattern pattern, BytePairEncoder encoder, ReadOnlySpan<byte> text) => pattern switch
    {
        SplitPattern.Gpt2 => encoder.Count<Gpt2Pattern>(text),
        SplitPattern.Cl100k => encoder.Count<Cl100kPattern>(text),
        SplitPattern.Qwen2 => encoder.Count<Qwen2Pattern>(text),
        SplitPattern.O200k => encoder.Count<O200kPattern>(text),
        SplitPattern.Tekken => encoder.Count<TekkenPattern>(text),
        SplitPattern.DeepSeekV3 => encoder.Count<DeepSeekV3Pattern>(text),
    };

    /// <param name="text">Valid UTF-8.</param>
    public static void Encode(this SplitPattern pattern, BytePairEncoder encoder, ReadOnlySpan<byte> text, TokenSink tokens)
    {
        switch (pattern)
        {
            case SplitPattern.Gpt2: encoder.Encode<Gpt2Pattern>(text, tokens); break;
            case SplitPattern.Cl100k: encoder.Encode<Cl100kPattern>(text, tokens); break;
            case SplitPattern.Qwen2: encoder.Encode<Qwen2Pattern>(text, tokens); break;
            case SplitPattern.O200k: encoder.Encode<O200kPattern>(text, tokens); break;
            case SplitPattern.Tekken: encoder.Encode<TekkenPattern>(text, tokens); break;
            case SplitPattern.DeepSeekV3: encoder.Encode<DeepSeekV3Pattern>(text, tokens); break;
        }
    }

    /// <summary>Where the piece ends that begins at <paramref name="start"/>.</summary>
    /// <param name="text">Valid UTF-8.</param>
    public static int End(this SplitPattern pattern, ReadOnlySpan<byte> text, int start)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)start, (uint)text.Length);
        ref var first = ref MemoryMarshal.GetReference(text);
        return pattern switch
        {
            SplitPattern.Gpt2 => Gpt2Pattern.End(ref first, start, text.Length),
            SplitPattern.Cl100k => Cl100kPattern.End(ref first, start, text.Length),
            SplitPattern.Qwen2 => Qwen2Pattern.End(ref first, start, text.Length),
            SplitPattern.O200k => O200kPattern.End(ref first, start, text.Length),
            SplitPattern.Tekken => TekkenPattern.End(ref first, start, text.Length),
            SplitPattern.DeepSeekV3 => DeepSeekV3Pattern.End(ref first, start, text.Length),
        };
    }
}
