using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Platform.Domain.Inference;
using Platform.GpuKernels;
using Platform.Hosting;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary><c>platform embed</c>: vectors of texts, and how near they are to each other.</summary>
internal static class EmbedCommand
{
    /// <summary>Values of a vector that the table shows, and characters of a text.</summary>
    private const int ShownValues = 4;
    private const int ShownText = 48;

    /// <summary>Characters of a file that are read at a time; a line may be as long as all that is taken.</summary>
    private const int BufferLength = 64 * 1024;

    public static Command Create(Commands commands)
    {
        var texts = new Argument<string[]>("TEXT") { Description = "Texts.", Arity = ArgumentArity.ZeroOrMore };
        var file = new Option<string?>("--file") { Description = "A file with a text a line; '-' is standard input.", HelpName = "FILE" };
        var model = new Option<string?>("--model") { Description = $"Which model; without it, what {TextEmbedders.Variable} names, else the one that was imported first, else lexical-v1.", HelpName = "MODEL" };
        var query = new Option<bool>("--query") { Description = "They are queries; without it, documents. Many models tell them apart." };
        return commands.Add(
            "embed",
            "Vectors of texts by an embedding model of this installation, and how near they are to the first.",
            [texts, file, model, query],
            ["embed 'the invoice is due' 'please pay the bill'", "embed --json 'the invoice is due'"],
            (parse, settings, stop) => Execute(settings, parse.GetValue(texts)!, parse.GetValue(file), parse.GetValue(model), parse.GetValue(query) ? TextPurpose.Query : TextPurpose.Document, stop));
    }

    private static async Task<int> Execute(Settings settings, string[] given, string? file, string? model, TextPurpose purpose, CancellationToken stop)
    {
        string[] texts = file is null ? given : [.. given, .. await Lines(file, stop)];
        if (texts.Length == 0) { throw new ProblemException(new Problem("embed.nothing", "There is no text to embed: give some, or --file with a text a line.")); }

        await using var installation = await Installation.Open(settings, stop);
        var embedder = await installation.Node.Embedders.Of(settings.Tenant, model, stop);
        TextEmbeddings answer;
        try { answer = await embedder.Embed(texts, purpose, stop); }
        // .NET puts the parameter's name behind the sentence, which says nothing here.
        catch (ArgumentException e) { throw new ProblemException(new Problem("embed.too-much", e.Message.Split(" (Parameter ")[0])); }
        catch (TextEmbedderBusyException e)
        {
            settings.Terminal.Fail("embed.busy", e.Message);
            return ExitCode.Unavailable;
        }

        var info = answer.Embedder;
        if (settings.Terminal.Json)
        {
            for (var i = 0; i < texts.Length; i++)
            {
                settings.Terminal.Record(new JsonObject
                {
                    ["text"] = texts[i],
                    ["model"] = info.Model,
                    ["semantic"] = info.IsSemantic,
                    ["purpose"] = purpose.ToString().ToLowerInvariant(),
                    ["vector"] = new JsonArray([.. answer.Vectors[i].Select(value => JsonValue.Create(value))]),
                });
            }

            return ExitCode.Done;
        }

        settings.Terminal.Note($"{info.Model}: {info.Dimension} dimensions; near means {(info.IsSemantic ? "a similar meaning" : "similar words: `platform models import` takes in a model of meanings")}.");
        settings.Terminal.Table(
            ["NEAR", "VECTOR", "TEXT"],
            [.. texts.Select((text, i) => (IReadOnlyList<string>)[Number(Dot(answer.Vectors[0], answer.Vectors[i])), $"{string.Join(' ', answer.Vectors[i].Take(ShownValues).Select(Number))} ...", Terminal.Safe(Short(text))])],
            "");
        return ExitCode.Done;
    }

    private static async Task<IReadOnlyList<string>> Lines(string file, CancellationToken stop)
    {
        // To open or read a pipe cannot be cancelled: it is left alone then, and ends with the process.
        using var reader = await Task.Run(() => file == "-" ? new StreamReader(Console.OpenStandardInput()) : new StreamReader(file), stop).WaitAsync(stop);
        var all = new StringBuilder();
        var buffer = new char[BufferLength];
        while (await Task.Run(() => reader.Read(buffer), stop).WaitAsync(stop) is > 0 and var read)
        {
            if (all.Length + read > TextLimits.TextBytes) { throw new ProblemException(new Problem("embed.too-much", $"{Terminal.Safe(file)} has more than {TextLimits.TextBytes} characters: embed it in parts.")); }

            all.Append(buffer, 0, read);
        }

        var lines = new List<string>();
        using var text = new StringReader(all.ToString());
        while (await text.ReadLineAsync(stop) is { } line) { lines.Add(line); }

        return lines;
    }

    private static string Number(float value) => value.ToString("0.0000", CultureInfo.InvariantCulture);

    private static string Short(string text) => text.Length <= ShownText ? text : string.Concat(text.AsSpan(0, char.IsHighSurrogate(text[ShownText - 2]) ? ShownText - 2 : ShownText - 1), "\u2026");

    private static float Dot(float[] a, float[] b)
    {
        var sum = 0f;
        for (var i = 0; i < a.Length; i++) { sum += a[i] * b[i]; }

        return sum;
    }
}
