using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Models;

namespace Platform.GpuKernels.Tests.Embedding;

public sealed class A_safetensors_file
{
    [Fact]
    public void gives_its_tensors_as_floats()
    {
        using var model = new TemporaryModel().WriteWeights(
            ("a", "F32", [2, 2], TemporaryModel.Floats(1, -2, 3.5f, 4)),
            ("b", "F16", [3], [0x00, 0x3c, 0x00, 0xc0, 0x66, 0x2e]),
            ("c", "BF16", [2], [0x80, 0x3f, 0x48, 0xc0]),
            ("d", "I8", [2], [0xff, 0x7f]),
            ("e", "I64", [1], BitConverter.GetBytes(7_000_000_000L)),
            ("scalar", "F32", [], TemporaryModel.Floats(9)),
            ("empty", "F32", [0, 5], []));
        using var file = Safetensors.Open(model.Path, "model.safetensors");
        Assert.Equal([1, -2, 3.5f, 4], Read(file.Get("a", 2, 2)));
        Assert.Equal([3.5f], Read(file.Get("a", 2, 2), 2, 1));
        Assert.Equal([1, -2, (float)(Half)0.1], Read(file.Get("b", 3)));
        Assert.Equal([1, -3.125f], Read(file.Get("c", 2)));
        Assert.Equal([-1, 127], Read(file.Get("d", 2)));
        Assert.Equal(7_000_000_000L, file.Get("e", 1).Integer(0));
        Assert.Equal([9], Read(file.Get("scalar")));
        Assert.Empty(Read(file.Get("empty", 0, 5)));
        Assert.Null(file.Find("__metadata__"));
    }

    [Fact]
    public void gives_nothing_outside_of_a_tensor()
    {
        using var model = new TemporaryModel().WriteWeights(("a", "F32", [2], TemporaryModel.Floats(1, 2)), ("b", "I32", [1], [1, 0, 0, 0]));
        using var file = Safetensors.Open(model.Path, "model.safetensors");
        Assert.Throws<ArgumentOutOfRangeException>(() => Read(file.Get("a", 2), 1, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => Read(file.Get("a", 2), -1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Get("b", 1).Integer(1));
        Assert.Contains("I32", Assert.Throws<UnusableModelException>(() => Read(file.Get("b", 1))).Message, StringComparison.Ordinal);
        Assert.Contains("[2]", Assert.Throws<UnusableModelException>(() => file.Get("a", 3)).Message, StringComparison.Ordinal);
        Assert.Contains("'x'", Assert.Throws<UnusableModelException>(() => file.Get("x", 3)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 8, "cover 4 bytes, and 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""", 8, "cover 12 bytes, and 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}""", 6, "'b' starts at byte 2")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "'a' starts at byte 4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, "has 4 bytes for the shape [2]")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}""", 8, "offsets 8 to 4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, "whole numbers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}""", 4, "whole numbers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", 0, "too large")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}""", 4, "up to 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[],"data_offsets":[0]}}""", 4, "lacks")]
    [InlineData("""{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}""", 4, "holds Q4")]
    [InlineData("""{"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}""", 4, "holds f32")]
    [InlineData("""{"a":{"dtype":"0","shape":[1],"data_offsets":[0,4]}}""", 4, "holds 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}}""", 4, "'more'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1]}}""", 4, "lacks")]
    [InlineData("""{"a":[]}""", 0, "cannot be read")]
    [InlineData("""{"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}}""", 4, "cannot be read")]
    [InlineData("""{} {}""", 0, "cannot be read")]
    [InlineData("""[]""", 0, "cannot be read")]
    [InlineData("""{"a":""", 0, "cannot be read")]
    public void is_refused_when_its_header_is_wrong(string header, int dataBytes, string says)
    {
        using var model = new TemporaryModel().Write("model.safetensors", TemporaryModel.Safetensors(header, new byte[dataBytes]));
        Assert.Contains(says, Assert.Throws<UnusableModelException>(() => Safetensors.Open(model.Path, "model.safetensors")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { 1, 2, 3 }, "too short")]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0 }, "Is it a safetensors file?")]
    [InlineData(new byte[] { 9, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d }, "Is it complete?")]
    public void is_refused_when_its_length_is_wrong(byte[] bytes, string says)
    {
        using var model = new TemporaryModel().Write("model.safetensors", bytes);
        Assert.Contains(says, Assert.Throws<UnusableModelException>(() => Safetensors.Open(model.Path, "model.safetensors")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void is_read_or_refused_whichever_byte_of_its_header_is_changed()
    {
        var good = TemporaryModel.Safetensors([("a", "F32", [2, 2], TemporaryModel.Floats(1, 2, 3, 4)), ("b", "I8", [4], [1, 2, 3, 4])]);
        using var model = new TemporaryModel();
        var random = new Random(11);
        for (var round = 0; round < 600; round++)
        {
            var bytes = (byte[])good.Clone();
            bytes[random.Next(bytes.Length - 20)] = (byte)random.Next(256);
            model.Write("model.safetensors", bytes);
            try
            {
                using var file = Safetensors.Open(model.Path, "model.safetensors");
                foreach (var tensor in file.Tensors.Where(tensor => tensor.Type is not (TensorType.U8 or TensorType.I32 or TensorType.I64))) { Assert.Equal(tensor.Elements, Read(tensor).Length); }
            }
            catch (UnusableModelException error) { Assert.StartsWith("model.safetensors: ", error.Message, StringComparison.Ordinal); }
        }
    }

    private static float[] Read(Tensor tensor) => Read(tensor, 0, (int)tensor.Elements);

    private static float[] Read(Tensor tensor, long first, int count)
    {
        var values = new float[count];
        tensor.CopyTo(first, values);
        return values;
    }
}
