using Platform.GpuKernels.Tokenisation.PreTokenisers;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>Pattern and byte-level BPE in one pass over the text.</summary>
internal sealed class FusedBytePairTokeniser(BytePairVocabulary vocabulary, SplitPattern pattern, bool addPrefixSpace) : IPieceTokeniser
{
    private readonly BytePairEncoder encoder = new(vocabulary);
    private byte[] prefixed = [];

    /// <summary>null where the stages are others than a pattern and byte-level BPE.</summary>
    public static Func<IPieceTokeniser>? TryMake(BytePairVocabulary vocabulary, IReadOnlyList<IPreTokeniser> preTokenisers) =>
        Recognise(preTokenisers) is var (pattern, addPrefixSpace) ? () => new FusedBytePairTokeniser(vocabulary, pattern, addPrefixSpace)
        : preTokenisers is [CharacterPreTokeniser { Any: CharacterSets.Numeric, IsolatesEach: true }, ByteLevelPreTokeniser { UsesPattern: true, AddsPrefixSpace: false }] ? () => new DigitsApart(vocabulary)
        : null;

    /// <summary>The pattern that the stages split by, and whether a text gets a space before it; null where they are others.</summary>
    public static (SplitPattern Pattern, bool AddPrefixSpace)? Recognise(IReadOnlyList<IPreTokeniser> preTokenisers) => preTokenisers switch
    {
        [ByteLevelPreTokeniser { UsesPattern: true } bytes] => (SplitPattern.Gpt2, bytes.AddsPrefixSpace),
        [ScannedPreTokeniser { KeepsMatches: true } split, ByteLevelPreTokeniser { UsesPattern: false, AddsPrefixSpace: false }] => (split.Pattern, false),
        _ => null,
    };

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        if (addPrefixSpace && piece[0] != ' ')
        {
            if (prefixed.Length <= piece.Length) { prefixed = new byte[piece.Length + 1]; }

            prefixed[0] = (byte)' ';
            piece.CopyTo(prefixed.AsSpan(1));
            piece = prefixed.AsSpan(0, piece.Length + 1);
        }

        pattern.Encode(encoder, piece, tokens);
    }

    /// <summary>Each numeric character is a piece by itself, and what is between them goes by GPT-2's pattern, which does not see them: Command R's stages.</summary>
    private sealed class DigitsApart(BytePairVocabulary vocabulary) : IPieceTokeniser
    {
        private readonly BytePairEncoder encoder = new(vocabulary);

        public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
        {
            var from = 0;
            for (var at = 0; at < piece.Length;)
            {
                int size;
                if (piece[at] < 0x80)
                {
                    size = 1;
                    if (!char.IsAsciiDigit((char)piece[at]))
                    {
                        at++;
                        continue;
                    }
                }
                else if (!Characters.Is(Utf8Text.ScalarAt(piece, at, out size), CharacterSets.Numeric))
                {
                    at += size;
                    continue;
                }

                if (at > from) { SplitPattern.Gpt2.Encode(encoder, piece[from..at], tokens); }

                encoder.Tokenise(piece.Slice(at, size), tokens);
                from = at += size;
            }

            if (from < piece.Length) { SplitPattern.Gpt2.Encode(encoder, piece[from..], tokens); }
        }
    }
}
