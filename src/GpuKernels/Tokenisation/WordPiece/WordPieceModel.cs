using System.Text;

namespace Platform.GpuKernels.Tokenisation.WordPiece;

/// <summary>
/// WordPiece: a word is cut into the longest token that begins it, then the longest that continues it, and so on; a word that cannot be cut so, or has more
/// characters than <see cref="MaximalCharacters"/>, is the unknown token (Wu et al. 2016, arXiv 1609.08144; BERT's implementation).
/// </summary>
internal sealed class WordPieceModel : ITokenModel
{
    private readonly Vocabulary vocabulary;
    private readonly TokenTrie trie;
    private readonly int continuationNode;

    private WordPieceModel(Vocabulary vocabulary, byte[] continuation, int unknown, int maximalCharacters)
    {
        this.vocabulary = vocabulary;
        trie = new(vocabulary);
        continuationNode = trie.NodeOf(continuation);
        Continuation = continuation;
        Unknown = unknown;
        MaximalCharacters = maximalCharacters;
    }

    public int Count => vocabulary.Count;

    public int IdLimit => vocabulary.IdLimit;

    /// <summary>What the spelling of a token begins with that continues a word: ##.</summary>
    public byte[] Continuation { get; }

    public int Unknown { get; }

    public int MaximalCharacters { get; }

    public static WordPieceModel Read(StageOptions options)
    {
        options.Knows("vocab", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word");
        var vocabulary = Vocabulary.Read(options.Member("vocab"));
        var unknown = options.Text("unk_token", "[UNK]");
        return vocabulary.TryGetId(Encoding.UTF8.GetBytes(unknown), out var id)
            ? new(vocabulary, Encoding.UTF8.GetBytes(options.Text("continuing_subword_prefix", "##")), id, options.Number("max_input_chars_per_word", 100))
            : throw StageOptions.Wrong("model.unk_token", $"'{unknown}' is not in the vocabulary");
    }

    public bool TryGetId(ReadOnlySpan<byte> token, out int id) => vocabulary.TryGetId(token, out id);

    public bool TryGetToken(int id, out ReadOnlySpan<byte> token) => vocabulary.TryGetToken(id, out token);

    public IPieceTokeniser NewPieceTokeniser() => new LongestMatch(this);

    private sealed class LongestMatch(WordPieceModel model) : IPieceTokeniser
    {
        public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
        {
            if (CountsMoreThan(piece, model.MaximalCharacters))
            {
                tokens.Add(model.Unknown, 0, piece.Length);
                return;
            }

            var before = tokens.Count;
            for (var start = 0; start < piece.Length;)
            {
                var node = start == 0 ? 0 : model.continuationNode;
                if (node < 0 || !model.trie.TryLongest(node, piece[start..], out var length, out var id))
                {
                    tokens.TakeBackTo(before);
                    tokens.Add(model.Unknown, 0, piece.Length);
                    return;
                }

                tokens.Add(id, start, start + length);
                start += length;
            }
        }

        private static bool CountsMoreThan(ReadOnlySpan<byte> piece, int characters)
        {
            if (piece.Length <= characters) { return false; }

            var count = 0;
            foreach (var value in piece) { count += (value & 0xC0) != 0x80 ? 1 : 0; }

            return count > characters;
        }
    }
}
