using System.CommandLine;
using System.Globalization;
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
        catch (ArgumentException e) { throw new ProblemException(new Problem("embed.too-much", e.Message)); }

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

        settings.Terminal.Note($"{info.Model}: {info.Dimension} dimensions; near means {(info.IsSemantic ? "a similar meaning" : "similar words, since no model was imported: `platform models import` takes one in")}.");
        settings.Terminal.Table(
            ["NEAR", "VECTOR", "TEXT"],
            [.. texts.Select((text, i) => (IReadOnlyList<string>)[Number(Dot(answer.Vectors[0], answer.Vectors[i])), $"{string.Join(' ', answer.Vectors[i].Take(ShownValues).Select(Number))} ...", Terminal.Safe(Short(text))])],
            "");
        return ExitCode.Done;
    }

    private static async Task<IReadOnlyList<string>> Lines(string file, CancellationToken stop)
    {
        using var reader = file == "-" ? Console.In : new StreamReader(file);
        var lines = new List<string>();
        var length = 0L;
        while (await reader.ReadLineAsync(stop) is { } line)
        {
            length += line.Length;
            if (length > TextLimits.TextBytes) { throw new ProblemException(new Problem("embed.too-much", $"{file} has more than {TextLimits.TextBytes} characters: embed it in parts.")); }

            lines.Add(line);
        }

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
