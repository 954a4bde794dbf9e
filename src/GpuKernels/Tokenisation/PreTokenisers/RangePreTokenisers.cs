using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.PreTokenisers;

/// <summary>FixedLength: pieces of so many characters, the last of what is left.</summary>
internal sealed class FixedLengthPreTokeniser(int length) : IPreTokeniser
{
    private const int DefaultLength = 5;

    public static FixedLengthPreTokeniser Read(StageOptions options) =>
        options.Number("length", DefaultLength) is > 0 and var length ? new(length) : throw StageOptions.Wrong($"{options.Place}.length", "is 0, and pieces have at least one character");

    public void Split(ReadOnlySpan<byte> piece, PieceSink pieces)
    {
        var (start, count) = (0, 0);
        for (var at = 0; at < piece.Length;)
        {
            at += Utf8Text.SizeAt(piece, at);
            if (++count < length) { continue; }

            pieces.Add(start, at);
            (start, count) = (at, 0);
        }

        pieces.Add(start, piece.Length);
    }
}

/// <summary>
/// UnicodeScripts: at each change of the script, with Japanese as one. Spaces, and characters that had no script when the reference's table was made, stay with what is
/// before them; at the beginning, as in the reference, they are dropped.
/// </summary>
internal sealed class ScriptPreTokeniser : IPreTokeniser
{
    private const int Any = 0;

    public void Split(ReadOnlySpan<byte> piece, PieceSink pieces)
    {
        var (start, script) = (-1, Any);
        for (var at = 0; at < piece.Length;)
        {
            int next = CharacterProperties.ScriptGroupOf(Utf8Text.ScalarAt(piece, at, out var size));
            if (next != Any && next != script)
            {
                if (start >= 0) { pieces.Add(start, at); }

                (start, script) = (at, next);
            }

            at += size;
        }

        if (start >= 0) { pieces.Add(start, piece.Length); }
    }
}
