using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.PreTokenisers;

/// <summary>Splits at white space, which is dropped.</summary>
internal sealed class WhitespaceSplitPreTokeniser : IPreTokeniser
{
    public void Split(ReadOnlySpan<byte> piece, PieceSink pieces)
    {
        var start = 0;
        for (var i = 0; i < piece.Length;)
        {
            var scalar = Utf8Text.ScalarAt(piece, i, out var size);
            if (Characters.IsWhiteSpace(scalar))
            {
                pieces.Add(start, i);
                start = i + size;
            }

            i += size;
        }

        pieces.Add(start, piece.Length);
    }
}
