using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Tests.Tokenisation.WordPiece;

/// <summary>Pairs, truncation, padding, post-processors, added tokens and decoders, as Hugging Face's tokenizers has them (bench/parity/calls-fixtures.mjs).</summary>
public class A_tokeniser_call
{
    private static readonly JsonNode[] Lines =
        [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Tokenisation", "WordPiece", "Fixtures", "calls.jsonl")).Select(line => JsonNode.Parse(line)!)];

    [Fact]
    public void gives_every_list_of_the_reference()
    {
        var calls = Lines.Where(line => line.AsObject().ContainsKey("made")).ToList();
        Assert.True(calls.Count > 200);
        foreach (var call in calls)
        {
            var tokeniser = A_wordpiece_tokeniser.Load(file =>
            {
                foreach (var (name, value) in Lines[0]["files"]![(string)call["file"]!]!.AsObject()) { file[name] = value?.DeepClone(); }

                (file["truncation"], file["padding"]) = (call["truncation"]?.DeepClone(), call["padding"]?.DeepClone());
            });
            var options = tokeniser.Defaults with { AddSpecialTokens = (bool)call["special"]! };
            TokenisedText Encode() => call["pair"] is { } pair
                ? tokeniser.Encode(Utf8(call["text"]!), Utf8(pair), options)
                : tokeniser.Encode(Utf8(call["text"]!), options);

            if (call["made"] is { } made)
            {
                var (expected, actual) = (made.ToJsonString(), Flat(Encode()).ToJsonString());
                Assert.True(expected == actual, $"{call["file"]} '{call["text"]}' '{call["pair"]}' {call["truncation"]} {call["padding"]}\n{expected}\n{actual}");
            }
            else { Assert.Throws<ArgumentException>(Encode); }
        }
    }

    [Fact]
    public void keeps_what_it_cuts_off()
    {
        var tokeniser = A_wordpiece_tokeniser.Load();
        var calls = Lines.Where(line => line.AsObject().ContainsKey("overflow")).ToList();
        Assert.True(calls.Count > 20);
        foreach (var call in calls)
        {
            var truncation = new Truncation((int)call["max_length"]!, Stride: (int)call["stride"]!, Side: Enum.Parse<Side>((string)call["direction"]!));
            var encoded = tokeniser.Encode(Utf8(call["text"]!), new EncodeOptions(AddSpecialTokens: false, truncation));
            Assert.Equal(call["overflow"]!.ToJsonString(), new JsonArray([.. encoded.Overflow.Prepend(encoded).Select(part => List(part.Ids))]).ToJsonString());
        }

        Assert.Throws<ArgumentException>(() => tokeniser.Encode("a b c d e f"u8, new EncodeOptions(AddSpecialTokens: false, new Truncation(3, Stride: 3))));
    }

    [Fact]
    public void decodes_as_the_reference()
    {
        var calls = Lines.Where(line => line.AsObject().ContainsKey("decoder")).ToList();
        Assert.True(calls.Count > 50);
        foreach (var call in calls)
        {
            var file = Lines[0]["small"]!.DeepClone().AsObject();
            file["decoder"] = call["decoder"]?.DeepClone();
            var text = Tokeniser.Load(JsonSerializer.SerializeToUtf8Bytes(file)).Decode(call["ids"]!.AsArray().Select(id => (int)id!).ToArray(), (bool)call["skip"]!);
            Assert.Equal((string)call["text"]!, text);
        }
    }

    private static byte[] Utf8(JsonNode text) => Encoding.UTF8.GetBytes((string)text!);

    private static JsonObject Flat(TokenisedText text) => new()
    {
        ["ids"] = List(text.Ids),
        ["types"] = List(text.TypeIds),
        ["offsets"] = List(text.ScalarOffsets.SelectMany(offset => new[] { offset.Start, offset.End })),
        ["special"] = List(text.SpecialMask.Select(value => (int)value)),
        ["attention"] = List(text.AttentionMask.Select(value => (int)value)),
    };

    private static JsonArray List(IEnumerable<int> numbers) => [.. numbers.Select(number => (JsonNode)number)];
}
