using System.Text;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>WordLevel: a piece is one token, or the unknown one.</summary>
internal sealed class WordLevelModel : ITokenModel, IPieceTokeniser
{
    private readonly Vocabulary vocabulary;
    private readonly int unknown;

    private WordLevelModel(Vocabulary vocabulary, int unknown) => (this.vocabulary, this.unknown) = (vocabulary, unknown);

    public int Count => vocabulary.Count;

    public int IdLimit => vocabulary.IdLimit;

    /// <exception cref="TokeniserFileException">The unknown token is not in the vocabulary: the reference then fails when it meets an unknown word.</exception>
    public static WordLevelModel Read(StageOptions options)
    {
        options.Knows("vocab", "unk_token");
        var vocabulary = Vocabulary.Read(options.Member("vocab"));
        var unknown = options.Text("unk_token");
        return vocabulary.TryGetId(Encoding.UTF8.GetBytes(unknown), out var id) ? new(vocabulary, id) : throw StageOptions.Wrong("model.unk_token", $"'{unknown}' is not in the vocabulary");
    }

    public bool TryGetId(ReadOnlySpan<byte> token, out int id) => vocabulary.TryGetId(token, out id);

    public bool TryGetToken(int id, out ReadOnlySpan<byte> token) => vocabulary.TryGetToken(id, out token);

    /// <summary>There is nothing that threads could not share.</summary>
    public IPieceTokeniser NewPieceTokeniser() => this;

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens) => tokens.Add(vocabulary.TryGetId(piece, out var id) ? id : unknown, 0, piece.Length);
}
