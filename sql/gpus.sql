-- Peak figures of NVIDIA GPUs, with a source for every row.
-- They are applied with the views, so that a correction holds for every run that is already recorded.
-- gpu_name is what NVML calls the product. Bandwidth is in bytes/s. Arithmetic is in FLOP/s of the tensor cores:
-- dense (a figure with sparsity is halved), and with FP32 accumulation where the vendor gives it separately.
-- bf16 is fp16 where a GPU has no bf16. NULL means that there is no FP8, or that no figure was found.
-- A GPU that is missing here has no limits, and reports say so.
-- The documents were read in public copies and in tables that quote them.
-- Where a source says "specifications", arithmetic is SMs x 512 FLOP per clock x boost clock, the rate of the whitepaper of the same
-- family, and FP8 is twice that.
CREATE OR REPLACE VIEW gpu_peaks AS
SELECT * FROM (VALUES
  ('NVIDIA H100 80GB HBM3', 3.35e12, 989e12, 1979e12, 'NVIDIA H100 Tensor Core GPU datasheet / product page'),
  ('NVIDIA H100 PCIe', 2e12, 756.5e12, 1513e12,
    'NVIDIA H100 Tensor Core GPU datasheet / product page, https://www.nvidia.com/en-us/data-center/h100/'),
  ('NVIDIA H100 NVL', 3.9e12, 835.5e12, 1670.5e12,
    'NVIDIA H100 Tensor Core GPU datasheet / product page, https://www.nvidia.com/en-us/data-center/h100/'),
  ('NVIDIA H200', 4.8e12, 989e12, 1979e12,
    'NVIDIA H200 Tensor Core GPU datasheet / product page, https://www.nvidia.com/en-us/data-center/h200/'),
  ('NVIDIA H200 NVL', 4.8e12, 835.5e12, 1670.5e12,
    'NVIDIA H200 Tensor Core GPU datasheet / product page, https://www.nvidia.com/en-us/data-center/h200/'),
  ('NVIDIA GH200 480GB', 4e12, 990e12, 1979e12,
    'NVIDIA GH200 Grace Hopper Superchip datasheet, '
    'https://nvdam.widen.net/s/rrgqqnpbz8/grace-datasheet-gh200-grace-hopper-superchip-3773000'),
  ('NVIDIA B200', 7.7e12, 2.25e15, 4.5e15,
    'NVIDIA/exemplar-performance README, https://github.com/NVIDIA/exemplar-performance/blob/main/README.md#peak-theoretical-throughput '
    '; NVIDIA Blackwell datasheet (HGX B200 column)'),
  ('NVIDIA A100-SXM4-40GB', 1.555e12, 312e12, NULL,
    'NVIDIA A100 Tensor Core GPU datasheet, '
    'https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-nvidia-us-2188504-web.pdf'),
  ('NVIDIA A100-SXM4-80GB', 2.039e12, 312e12, NULL,
    'NVIDIA A100 Tensor Core GPU datasheet, '
    'https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-nvidia-us-2188504-web.pdf'),
  ('NVIDIA A100-PCIE-40GB', 1.555e12, 312e12, NULL,
    'NVIDIA A100 Tensor Core GPU datasheet, '
    'https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-nvidia-us-2188504-web.pdf'),
  ('NVIDIA A100 80GB PCIe', 1.935e12, 312e12, NULL,
    'NVIDIA A100 Tensor Core GPU datasheet, '
    'https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-nvidia-us-2188504-web.pdf'),
  ('NVIDIA L40S', 8.64e11, 362.05e12, 733e12, 'NVIDIA L40S datasheet / product page, https://www.nvidia.com/en-us/data-center/l40s/'),
  ('NVIDIA L40', 8.64e11, 181.05e12, 362e12, 'NVIDIA L40 datasheet'),
  ('NVIDIA L4', 3e11, 121e12, 242.5e12, 'NVIDIA L4 Tensor Core GPU datasheet / product page, https://www.nvidia.com/en-us/data-center/l4/'),
  ('NVIDIA A10', 6e11, 125e12, NULL,
    'NVIDIA A10 Tensor Core GPU datasheet, https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a10/pdf/a10-datasheet.pdf'),
  ('NVIDIA A10G', 6e11, 70e12, NULL,
    'NVIDIA A10G datasheet (AWS), https://d1.awsstatic.com/product-marketing/ec2/NVIDIA_AWS_A10G_DataSheet_FINAL_02_17_2022.pdf'),
  ('NVIDIA A40', 6.96e11, 149.7e12, NULL,
    'NVIDIA A40 datasheet, https://images.nvidia.cn/content/Solutions/data-center/a40/nvidia-a40-datasheet.pdf'),
  ('NVIDIA A30', 9.33e11, 165e12, NULL, 'NVIDIA A30 Tensor Core GPU datasheet'),
  ('NVIDIA RTX A6000', 7.68e11, 154.8e12, NULL,
    'NVIDIA Ampere GA102 GPU Architecture whitepaper (v2.1), '
    'https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.1.pdf'),
  ('NVIDIA RTX 6000 Ada Generation', 9.6e11, 364.2e12, 728.5e12,
    'NVIDIA Ada ProViz Architecture whitepaper 1.1, '
    'https://images.nvidia.com/aem-dam/en-zz/Solutions/technologies/NVIDIA-ADA-GPU-PROVIZ-Architecture-Whitepaper_1.1.pdf'),
  ('NVIDIA RTX PRO 6000 Blackwell Workstation Edition', 1.792e12, 503.8e12, 1007.6e12,
    'NVIDIA RTX Blackwell PRO GPU Architecture whitepaper v1.0, https://www.nvidia.com/content/dam/en-zz/Solutions/design-visualization/'
    'quadro-product-literature/NVIDIA-RTX-Blackwell-PRO-GPU-Architecture-v1.0.pdf'),
  ('NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition', 1.792e12, 438.9e12, NULL,
    'NVIDIA RTX Blackwell PRO GPU Architecture whitepaper v1.0, https://www.nvidia.com/content/dam/en-zz/Solutions/design-visualization/'
    'quadro-product-literature/NVIDIA-RTX-Blackwell-PRO-GPU-Architecture-v1.0.pdf'),
  ('NVIDIA RTX PRO 6000 Blackwell Server Edition', 1.597e12, NULL, NULL,
    'NVIDIA RTX PRO 6000 Blackwell Server Edition product page, '
    'https://www.nvidia.com/en-us/data-center/rtx-pro-6000-blackwell-server-edition/'),
  ('Tesla V100-SXM2-16GB', 9e11, 125e12, NULL,
    'NVIDIA V100 Tensor Core GPU datasheet, '
    'https://images.nvidia.com/content/technologies/volta/pdf/volta-v100-datasheet-update-us-1165301-r5.pdf'),
  ('Tesla V100-SXM2-32GB', 9e11, 125e12, NULL,
    'NVIDIA V100 Tensor Core GPU datasheet, '
    'https://images.nvidia.com/content/technologies/volta/pdf/volta-v100-datasheet-update-us-1165301-r5.pdf'),
  ('Tesla T4', 3.2e11, 65e12, NULL, 'NVIDIA T4 product page, https://www.nvidia.com/en-us/data-center/tesla-t4/'),
  ('NVIDIA GeForce RTX 3090', 9.36e11, 71.2e12, NULL,
    'NVIDIA RTX Blackwell GPU Architecture whitepaper, '
    'https://images.nvidia.com/aem-dam/Solutions/geforce/blackwell/nvidia-rtx-blackwell-gpu-architecture.pdf ; Ampere GA102 whitepaper'),
  ('NVIDIA GeForce RTX 3090 Ti', 1.008e12, 80e12, NULL,
    'NVIDIA GeForce RTX 3090 Ti specifications (84 SM, 1.86 GHz); per-SM rate from the Ampere GA102 whitepaper'),
  ('NVIDIA GeForce RTX 4090', 1.008e12, 165.2e12, 330.3e12,
    'NVIDIA Ada GPU Architecture whitepaper (v2.1), '
    'https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf'),
  ('NVIDIA GeForce RTX 4080', 7.168e11, 97.5e12, 194.9e12,
    'NVIDIA Ada GPU Architecture whitepaper (v2.1), '
    'https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf'),
  ('NVIDIA GeForce RTX 4080 SUPER', 7.36e11, 104.4e12, 208.9e12,
    'NVIDIA GeForce RTX 40 series specifications (SM count, boost clock, bandwidth), '
    'https://www.nvidia.com/en-us/geforce/graphics-cards/40-series/ ; per-SM rate from the NVIDIA Ada GPU Architecture whitepaper'),
  ('NVIDIA GeForce RTX 4070 Ti', 5.04e11, 80.2e12, 160.4e12,
    'NVIDIA GeForce RTX 40 series specifications (SM count, boost clock, bandwidth), '
    'https://www.nvidia.com/en-us/geforce/graphics-cards/40-series/ ; per-SM rate from the NVIDIA Ada GPU Architecture whitepaper'),
  ('NVIDIA GeForce RTX 4070 Ti SUPER', 6.72e11, 88.2e12, 176.4e12,
    'NVIDIA GeForce RTX 40 series specifications (SM count, boost clock, bandwidth), '
    'https://www.nvidia.com/en-us/geforce/graphics-cards/40-series/ ; per-SM rate from the NVIDIA Ada GPU Architecture whitepaper'),
  ('NVIDIA GeForce RTX 4060 Ti', 2.88e11, 44.1e12, 88.3e12,
    'NVIDIA GeForce RTX 40 series specifications (SM count, boost clock, bandwidth), '
    'https://www.nvidia.com/en-us/geforce/graphics-cards/40-series/ ; per-SM rate from the NVIDIA Ada GPU Architecture whitepaper'),
  ('NVIDIA GeForce RTX 5090', 1.792e12, 209.5e12, 419e12,
    'NVIDIA RTX Blackwell GPU Architecture whitepaper, '
    'https://images.nvidia.com/aem-dam/Solutions/geforce/blackwell/nvidia-rtx-blackwell-gpu-architecture.pdf'),
  ('NVIDIA GeForce RTX 5080', 9.6e11, 112.6e12, 225.1e12,
    'NVIDIA RTX Blackwell GPU Architecture whitepaper, '
    'https://images.nvidia.com/aem-dam/Solutions/geforce/blackwell/nvidia-rtx-blackwell-gpu-architecture.pdf'),
  ('NVIDIA GeForce RTX 5070 Ti', 8.96e11, 87.9e12, 175.8e12,
    'NVIDIA RTX Blackwell GPU Architecture whitepaper, '
    'https://images.nvidia.com/aem-dam/Solutions/geforce/blackwell/nvidia-rtx-blackwell-gpu-architecture.pdf')
) AS t(gpu_name, memory_bandwidth_bytes_per_s, bf16_flop_per_s, fp8_flop_per_s, source);
COMMENT ON VIEW gpu_peaks IS 'peak figures of GPUs by the vendor';
COMMENT ON COLUMN gpu_peaks.gpu_name IS 'product, as NVML names it';
COMMENT ON COLUMN gpu_peaks.memory_bandwidth_bytes_per_s IS 'device memory bandwidth';
COMMENT ON COLUMN gpu_peaks.bf16_flop_per_s IS 'tensor cores, bf16 (fp16 where there is none), dense';
COMMENT ON COLUMN gpu_peaks.fp8_flop_per_s IS 'tensor cores, FP8, dense; NULL where there is none';
COMMENT ON COLUMN gpu_peaks.source IS 'document the figures come from';
