using System.Text.Json;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Tokenisation;

namespace Platform.Kernels;

/// <summary>`embed DIRECTORY`: the lines of stdin as vectors, for bench/embedding/run-published. First a line with all texts' ids, then one for each precision of the weights.</summary>
internal static class EmbedPart
{
    public static int Run(string directory)
    {
        string[] texts = [.. Console.In.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries)];
        foreach (var precision in Enum.GetValues<WeightPrecision>())
        {
            using var model = EmbeddingModel.Load(directory, new EmbeddingModelOptions(precision));
            if (precision == default)
            {
                var packed = new PackedTokens();
                model.Tokenise(texts, EmbeddingPurpose.Document, packed);
                Console.WriteLine(JsonSerializer.Serialize(Enumerable.Range(0, packed.Count).Select(text => packed[text].ToArray())));
            }

            var vectors = model.Embed(texts, EmbeddingPurpose.Document, CancellationToken.None);
            Console.WriteLine(JsonSerializer.Serialize(new { precision = $"{precision}", mebibytes = model.WeightBytes / (1024.0 * 1024), vectors }));
        }

        return 0;
    }
}
