using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>What becomes of words that were not met before.</summary>
internal interface INewWords
{
    /// <summary>Adds the tokens of a word; false where it is not to be taken without its neighbours.</summary>
    bool TryTokenise(int start, int length, TokenSink tokens);
}

/// <summary>The tokens of a text's words one after another: those met before are looked up in a cache. Used by one thread at a time.</summary>
internal sealed class KnownWords(INewWords newWords)
{
    /// <summary>So many words are looked up together.</summary>
    private const int Ahead = 32;

    /// <summary>Words of more tokens are not remembered, so that room for a run of words can be had at once.</summary>
    private const int MostTokens = 64;

    private readonly WordCache cache = new();

    /// <summary>false where a word is not to be taken without its neighbours.</summary>
    /// <param name="text">64 bytes can be read from the beginning of each word.</param>
    /// <param name="starts">Where each word begins.</param>
    /// <param name="ends">Where each word ends, at least as many.</param>
    /// <param name="tokens">Gets ids, without offsets.</param>
    public bool TryTokenise(ref byte text, ReadOnlySpan<int> starts, ReadOnlySpan<int> ends, TokenSink tokens)
    {
        ref var start = ref MemoryMarshal.GetReference(starts);
        ref var end = ref MemoryMarshal.GetReference(ends[..starts.Length]);
        Span<int> places = stackalloc int[Ahead];
        for (var from = 0; from < starts.Length; from += Ahead)
        {
            // The places in the cache are asked from memory for some words at once, so that it is not waited for word by word.
            var some = Math.Min(Ahead, starts.Length - from);
            for (var i = 0; i < some; i++)
            {
                var at = Unsafe.Add(ref start, from + i);
                places[i] = cache.Place(ref Unsafe.Add(ref text, at), Unsafe.Add(ref end, from + i) - at);
            }

            ref var ids = ref MemoryMarshal.GetReference(tokens.Reserve(Ahead * MostTokens));
            var count = 0;
            for (var i = 0; i < some; i++)
            {
                var at = Unsafe.Add(ref start, from + i);
                var length = Unsafe.Add(ref end, from + i) - at;
                var found = cache.TryFind(ref Unsafe.Add(ref text, at), length, places[i], ref Unsafe.Add(ref ids, count));
                count += found;
                if (found > 0) { continue; }

                tokens.Advance(count);
                var before = tokens.Count;
                if (!newWords.TryTokenise(at, length, tokens)) { return false; }

                var made = tokens.Ids[before..];
                if (made.Length is > 0 and <= MostTokens) { cache.Add(ref Unsafe.Add(ref text, at), length, places[i], made); }

                ids = ref MemoryMarshal.GetReference(tokens.Reserve(Ahead * MostTokens));
                count = 0;
            }

            tokens.Advance(count);
        }

        return true;
    }
}
