using System.Runtime.InteropServices;
using System.Text;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Tests.Tokenisation.WordPiece;

public class A_word_cache
{
    /// <summary>60 tokens: more of them come than there are places.</summary>
    [Theory]
    [InlineData(5, 40_000)]
    [InlineData(60, 300_000)]
    public void goes_on_remembering_when_its_room_for_words_of_many_tokens_is_full(int length, int words)
    {
        var cache = new WordCache();
        var found = new int[64];
        for (var number = 0; number < words; number++)
        {
            int[] tokens = [.. Enumerable.Range(number, length)];
            Add($"word {number}", tokens);
            Assert.Equal(tokens.Length, Find($"word {number}"));
            Assert.Equal(tokens, found[..tokens.Length]);

            // What stands where an older word's tokens stood is not taken for them.
            var older = number - (number % 5000);
            if (Find($"word {older}") is > 0 and var count) { Assert.Equal(Enumerable.Range(older, length), found[..count]); }
        }

        void Add(string word, int[] tokens) => cache.Add(ref First(word), word.Length, cache.Place(ref First(word), word.Length), tokens);
        int Find(string word) => cache.TryFind(ref First(word), word.Length, cache.Place(ref First(word), word.Length), ref found[0]);
    }

    /// <summary>48 bytes can be read.</summary>
    private static ref byte First(string word) => ref MemoryMarshal.GetArrayDataReference(Encoding.ASCII.GetBytes(word.PadRight(48)));
}
