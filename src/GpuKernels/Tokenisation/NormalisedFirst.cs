using Platform.GpuKernels.Tokenisation.Normalisers;
using Platform.GpuKernels.Tokenisation.PreTokenisers;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>Normalisers before what does all other stages in one pass. A text that is in Unicode's normal form already is not copied.</summary>
internal sealed class NormalisedFirst : IPieceTokeniser
{
    /// <summary>Room for longer texts is not kept.</summary>
    private const int KeptRoom = 4 * 1024 * 1024;

    private readonly IReadOnlyList<INormaliser> normalisers;
    private readonly UnicodeQuickCheck? check;
    private readonly IPieceTokeniser fused;
    private WorkingText working = new();

    private NormalisedFirst(IReadOnlyList<INormaliser> normalisers, UnicodeQuickCheck? check, IPieceTokeniser fused)
    {
        (this.normalisers, this.check, this.fused) = (normalisers, check, fused);
    }

    /// <param name="normalisers">May be none.</param>
    /// <param name="fused">What does the stages after them.</param>
    public static Func<IPieceTokeniser> For(IReadOnlyList<INormaliser> normalisers, Func<IPieceTokeniser> fused)
    {
        if (normalisers.Count == 0) { return fused; }

        var check = normalisers is [UnicodeNormaliser form] ? new UnicodeQuickCheck(form) : null;
        return () => new NormalisedFirst(normalisers, check, fused());
    }

    /// <summary>Whether nothing is split after the normalisers: what would be split at has been replaced by them, as Gemma's file has it.</summary>
    public static bool LeaveWhole(IReadOnlyList<INormaliser> normalisers, IReadOnlyList<IPreTokeniser> preTokenisers) =>
        preTokenisers.Count == 0
        || (preTokenisers is [SplitPreTokeniser { Literal: [var split] }] && normalisers is [.., ReplaceNormaliser { Literal: [var replaced], Content: var content }] && split == replaced && !content.Contains(split));

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        if (check is not null && check.Keeps(piece))
        {
            fused.Tokenise(piece, tokens);
            return;
        }

        working.Begin(piece, 0, aligned: false);
        foreach (var normaliser in normalisers) { working.Normalise(normaliser); }

        if (!working.Bytes.IsEmpty) { fused.Tokenise(working.Bytes, tokens); }
        if (working.Room > KeptRoom) { working = new(); }
    }
}
