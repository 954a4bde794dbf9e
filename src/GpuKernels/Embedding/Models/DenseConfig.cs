namespace Platform.GpuKernels.Embedding.Models;

/// <summary>sentence-transformers' Dense, a linear layer over a text's vector: what its folder's config.json says, checked.</summary>
/// <param name="WeightsFile">Relative to the model's directory.</param>
/// <param name="HasTanh">Whether tanh follows, else nothing.</param>
internal sealed record DenseConfig(string WeightsFile, int Inputs, int Outputs, bool HasBias, bool HasTanh)
{
    /// <param name="inputs">Values of the vector before it.</param>
    public static DenseConfig Read(string directory, string folder, int inputs)
    {
        var name = Path.Combine(folder, EncoderConfig.FileName);
        var json = ModelJson.ReadObject(directory, name) ?? throw new UnusableModelException(name, "is missing.");
        if (json.Int("in_features", 1, EmbeddingLimits.HiddenSize) is var taken && taken != inputs) { throw new UnusableModelException(name, $"'in_features' is {taken}, and the vector before it has {inputs} values."); }

        foreach (var member in (string[])["module_input_name", "module_output_name"])
        {
            if (json.Text(member) is { } feature and not "sentence_embedding") { throw new UnusableModelException(name, $"asks for '{feature}' as '{member}'; a Dense is built here from a text's vector to a text's vector."); }
        }

        // A class of PyTorch's, by its module and name.
        var activation = json.Text("activation_function") ?? "Tanh";
        var hasTanh = activation[(activation.LastIndexOf('.') + 1)..] switch
        {
            "Tanh" => true,
            "Identity" => false,
            _ => throw new UnusableModelException(name, $"asks for the activation '{activation}', which is not built here; Tanh and Identity are."),
        };
        var weights = Path.Combine(folder, "model.safetensors");
        return File.Exists(Path.Combine(directory, weights))
            ? new DenseConfig(weights, inputs, json.Int("out_features", 1, EmbeddingLimits.HiddenSize), json.Bool("bias", absent: true), hasTanh)
            : throw new UnusableModelException(weights, "is missing. The module's weights are read from it.");
    }
}
