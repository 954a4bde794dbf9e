using System.Buffers;

namespace Platform.GpuKernels.Search.Keywords;

/// <summary>
/// Porter's second English stemmer (Porter2, snowballstem.org/algorithms/english/stemmer.html) for words of lower-case letters: what a query and a text
/// write in different grammatical forms becomes one term. Its apostrophe rules are not needed, since terms hold none.
/// </summary>
internal static class EnglishStemmer
{
    private static readonly SearchValues<char> Vowels = SearchValues.Create("aeiouy");

    private static readonly string[] Step2 =
    [
        "ization>ize", "ational>ate", "fulness>ful", "ousness>ous", "iveness>ive", "tional>tion", "biliti>ble", "lessli>less", "entli>ent", "ation>ate", "alism>al", "aliti>al", "ousli>ous",
        "iviti>ive", "fulli>ful", "enci>ence", "anci>ance", "abli>able", "izer>ize", "ator>ate", "alli>al", "bli>ble", "ogi>og", "li>",
    ];

    private static readonly string[] Step3 = ["ational>ate", "tional>tion", "alize>al", "icate>ic", "iciti>ic", "ative>", "ical>ic", "ness>", "ful>"];

    private static readonly string[] Step4 = ["ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "ion", "al", "er", "ic"];

    /// <summary>Words whose stem is not what the rules make of them.</summary>
    private static readonly Dictionary<string, string> Exceptions = new(StringComparer.Ordinal)
    {
        ["skis"] = "ski",
        ["skies"] = "sky",
        ["dying"] = "die",
        ["lying"] = "lie",
        ["tying"] = "tie",
        ["idly"] = "idl",
        ["gently"] = "gentl",
        ["ugly"] = "ugli",
        ["early"] = "earli",
        ["only"] = "onli",
        ["singly"] = "singl",
        ["sky"] = "sky",
        ["news"] = "news",
        ["howe"] = "howe",
        ["atlas"] = "atlas",
        ["cosmos"] = "cosmos",
        ["bias"] = "bias",
        ["andes"] = "andes",
    };

    private static readonly HashSet<string> KeptAfterPlurals = new(StringComparer.Ordinal) { "inning", "outing", "canning", "herring", "earring", "proceed", "exceed", "succeed" };

    /// <param name="room">The word, of letters a to z, from its beginning; room for two more letters behind it.</param>
    /// <returns>The stem's length.</returns>
    public static int Stem(Span<char> room, int length)
    {
        if (length <= 2) { return length; }
        if (Exceptions.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(room[..length], out var exception))
        {
            exception.CopyTo(room);
            return exception.Length;
        }

        var word = new Word(room, length);
        return word.Stem();
    }

    private static bool IsVowel(char letter) => letter is 'a' or 'e' or 'i' or 'o' or 'u' or 'y';

    private ref struct Word(Span<char> room, int length)
    {
        private readonly Span<char> letters = room;
        private int length = length;
        private int first, second;

        public int Stem()
        {
            // A y that is a consonant is written Y until the end.
            for (var at = 0; at < length; at++)
            {
                if (letters[at] == 'y' && (at == 0 || IsVowel(letters[at - 1]))) { letters[at] = 'Y'; }
            }

            first = Starts("gener") || Starts("arsen") ? 5 : Starts("commun") ? 6 : AfterSyllable(0);
            second = AfterSyllable(first);
            RemovePlural();
            if (!KeptAfterPlurals.GetAlternateLookup<ReadOnlySpan<char>>().Contains(letters[..length]))
            {
                RemovePast();
                if (length > 2 && letters[length - 1] is 'y' or 'Y' && !IsVowel(letters[length - 2])) { letters[length - 1] = 'i'; }
                ReplaceSecond();
                ReplaceThird();
                RemoveFourth();
                RemoveLast();
            }

            for (var at = 0; at < length; at++)
            {
                if (letters[at] == 'Y') { letters[at] = 'y'; }
            }

            return length;
        }

        /// <summary>Behind the first consonant that follows a vowel.</summary>
        private readonly int AfterSyllable(int from)
        {
            for (var at = from + 1; at < length; at++)
            {
                if (!IsVowel(letters[at]) && IsVowel(letters[at - 1])) { return at + 1; }
            }

            return length;
        }

        private readonly bool Starts(string with) => letters[..length].StartsWith(with);

        private readonly bool Ends(string with) => letters[..length].EndsWith(with);

        private readonly bool HasVowel(int before) => letters[..before].ContainsAny(Vowels);

        /// <summary>Whether what stands before ends in a short syllable.</summary>
        private readonly bool EndsShort(int before) => before switch
        {
            < 2 => false,
            2 => IsVowel(letters[0]) && !IsVowel(letters[1]),
            _ => IsVowel(letters[before - 2]) && !IsVowel(letters[before - 1]) && letters[before - 1] is not ('w' or 'x' or 'Y') && !IsVowel(letters[before - 3]),
        };

        private void Replace(int from, ReadOnlySpan<char> with)
        {
            with.CopyTo(letters[from..]);
            length = from + with.Length;
        }

        private void RemovePlural()
        {
            if (Ends("sses")) { length -= 2; }
            else if (Ends("ied") || Ends("ies")) { length -= length > 4 ? 2 : 1; }
            else if (Ends("us") || Ends("ss")) { }
            else if (Ends("s") && HasVowel(length - 2)) { length--; }
        }

        private void RemovePast()
        {
            foreach (var ending in (ReadOnlySpan<string>)["eedly", "ingly", "edly", "eed", "ing", "ed"])
            {
                if (!Ends(ending)) { continue; }

                var before = length - ending.Length;
                if (ending[0] == 'e' && ending[1] == 'e')
                {
                    if (before >= first) { Replace(before, "ee"); }
                    return;
                }

                if (!HasVowel(before)) { return; }

                length = before;
                if (Ends("at") || Ends("bl") || Ends("iz")) { Replace(length, "e"); }
                else if (length > 1 && letters[length - 1] == letters[length - 2] && letters[length - 1] is 'b' or 'd' or 'f' or 'g' or 'm' or 'n' or 'p' or 'r' or 't') { length--; }
                else if (first >= length && EndsShort(length)) { Replace(length, "e"); }
                return;
            }
        }

        private void ReplaceSecond()
        {
            foreach (var rule in Step2)
            {
                var split = rule.IndexOf('>', StringComparison.Ordinal);
                var ending = rule[..split];
                if (!Ends(ending)) { continue; }

                var before = length - ending.Length;
                var holds = ending switch
                {
                    "ogi" => before > 0 && letters[before - 1] == 'l',
                    "li" => before > 0 && letters[before - 1] is 'c' or 'd' or 'e' or 'g' or 'h' or 'k' or 'm' or 'n' or 'r' or 't',
                    _ => true,
                };
                if (before >= first && holds) { Replace(before, rule.AsSpan(split + 1)); }
                return;
            }
        }

        private void ReplaceThird()
        {
            foreach (var rule in Step3)
            {
                var split = rule.IndexOf('>', StringComparison.Ordinal);
                if (!Ends(rule[..split])) { continue; }

                var before = length - split;
                if (before >= (rule.StartsWith("ative", StringComparison.Ordinal) ? second : first)) { Replace(before, rule.AsSpan(split + 1)); }
                return;
            }
        }

        private void RemoveFourth()
        {
            foreach (var ending in Step4)
            {
                if (!Ends(ending)) { continue; }

                var before = length - ending.Length;
                if (before >= second && (ending != "ion" || (before > 0 && letters[before - 1] is 's' or 't'))) { length = before; }
                return;
            }
        }

        private void RemoveLast()
        {
            var before = length - 1;
            if (letters[before] == 'e' && (before >= second || (before >= first && !EndsShort(before)))) { length--; }
            else if (letters[before] == 'l' && before >= second && before > 0 && letters[before - 1] == 'l') { length--; }
        }
    }
}
